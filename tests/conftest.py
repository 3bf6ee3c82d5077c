"""What holds for every test: quiet threads, no time limit for an example, the longest files first.

The longest come first so that two workers end together.
"""

import os

import hypothesis
import pytest

# Tests run beside each other. Threads of one that spin while they wait take the other's core:
# a training step then takes ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# An example that takes a millisecond takes half a second on a busy machine, and drawing one 17 seconds.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")

LONGEST_FIRST = ("test_pipeline", "test_real_speech", "test_sweep", "test_house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return LONGEST_FIRST.index(item.path.stem) if item.path.stem in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=place)
