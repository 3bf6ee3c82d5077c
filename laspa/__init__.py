"""laspa: speaker embeddings from which language is gone, as a reproducible pipeline."""

from typing import Any

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """`Recogniser`, imported when it is first used, so that `import laspa` stays light."""
    if name != "Recogniser":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from laspa.recogniser.recogniser import Recogniser

    return Recogniser
