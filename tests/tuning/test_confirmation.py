"""What a sweep gains: differences paired by seed, in numbers, in words and on the page."""

import json
from pathlib import Path
from typing import Any

import pytest

from laspa.errors import LaspaError
from laspa.params import load_params
from laspa.tuning.confirmation import confirmation, confirmation_text
from laspa.tuning.output import read_trials, write_output
from laspa.tuning.space import draw_trials
from laspa.tuning.trial_files import FINISHED, PRUNED, Trial

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml").resolve("laspa")
BEST = {"prefix_len": 16}


def results(*rates: float, seeds: tuple[int, ...] = (1, 2, 3)) -> list[dict[str, Any]]:
    """One for each seed; EERs of all trials are twice those across languages."""
    return [
        {
            "seed": seed,
            "epochs": 12,
            "trial_list": {"name": "test", "sha256": "ab", "trials": 100, "speakers": 6},
            "conditions": {"cross_same": {"eer": rate}, "all": {"eer": 2 * rate}},
        }
        for seed, rate in zip(seeds, rates, strict=True)
    ]


def test_the_difference_is_paired_by_seed() -> None:
    """Differences −0.01, −0.02, −0.03: s = 0.01, t(0.975, 2) = 4.3027, so half is 4.3027 · 0.01 / √3."""
    found = confirmation(BEST, results(0.10, 0.20, 0.30), results(0.09, 0.18, 0.27))
    assert set(found["eer"]) == {"cross_same", "all"}
    difference = found["eer"]["cross_same"]["difference"]
    assert difference["mean"] == pytest.approx(-0.02)
    assert difference["low"] == pytest.approx(-0.02 - 0.024842, abs=1e-6)
    assert difference["high"] == pytest.approx(-0.02 + 0.024842, abs=1e-6)
    assert found["eer"]["all"]["found"]["mean"] == pytest.approx(0.36)
    assert "no difference that these seeds can tell" in confirmation_text(found)


@pytest.mark.parametrize(("after", "verdict"), [(0.05, "better"), (0.15, "worse")])
def test_a_difference_beyond_its_interval_is_named(after: float, verdict: str) -> None:
    found = confirmation(BEST, results(0.10, 0.101, 0.102), results(after, after, after))
    text = confirmation_text(found)
    assert text.startswith("Confirmed on test, 3 seeds of 12 epochs: EER cross/same 10.1")
    assert text.endswith(f"paired by seed: {verdict}.")


def test_only_like_is_compared_with_like() -> None:
    with pytest.raises(LaspaError, match="the two sides differ in seed"):
        confirmation(BEST, results(0.1, 0.1, seeds=(1, 2)), results(0.1, 0.1, seeds=(1, 3)))


def test_the_outcome_is_read_back_and_gets_its_line(tmp_path: Path) -> None:
    trials = [
        Trial(number, f"key{number}", values, FINISHED if number < 3 else PRUNED)
        for number, values in enumerate(draw_trials(PARAMS)[:3], start=1)
    ]
    for trial in trials:
        trial.history = [{"epoch": 1, "dev": {"eer_cross_same": 0.1 * trial.number, "eer_all": 0.2}}]
    write_output(tmp_path / "tune", PARAMS, trials)
    before = {file.name: file.read_bytes() for file in (tmp_path / "tune").iterdir()}
    assert b"laspa tune confirm" in before["index.html"]
    confirmed = confirmation(BEST, results(0.10, 0.101, 0.102), results(0.05, 0.05, 0.05))
    write_output(tmp_path / "tune", PARAMS, read_trials(tmp_path / "tune"), confirmed)
    after = {file.name: file.read_bytes() for file in (tmp_path / "tune").iterdir()}
    assert {name for name in after if after[name] != before.get(name)} == {"index.html", "confirmed.json"}
    assert json.loads(after["confirmed.json"]) == confirmed
    assert b"paired by seed: better." in after["index.html"]
    with pytest.raises(LaspaError, match=r"trials.json: no such file; run the sweep \(laspa tune\)"):
        read_trials(tmp_path / "nothing")
