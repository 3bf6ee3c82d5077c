"""How systems are measured and compared."""

from typing import Annotated, Any

from pydantic import Field

from laspa.params.base import Count, Section, Seed


class Evaluate(Section):
    """Scoring and intervals (stages evaluate and ablate)."""

    bootstrap: Annotated[int, Field(ge=100)]
    seed: Seed


class Ablate(Section):
    """The systems compared: same data, budget and seeds for all (stage ablate)."""

    seeds: Annotated[list[Seed], Field(min_length=1)]
    epochs: Count
    crop_seconds: Annotated[float, Field(ge=0.3, le=60)]
    systems: dict[str, dict[str, Any]]


class Study(Section):
    """The comparison on the full budget, run on demand (`make results`)."""

    seeds: Annotated[list[Seed], Field(min_length=2)]
    choice_epochs: Count
    choices: dict[str, dict[str, Any]]
    systems: dict[str, dict[str, Any]]
    ceiling: dict[str, Any]
