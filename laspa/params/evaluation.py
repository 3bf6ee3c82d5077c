"""How systems are measured and compared."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from laspa.params.base import Count, Section, Seed
from laspa.params.dotted import flatten


class Evaluate(Section):
    """Scoring and intervals (stage evaluate, and the studies)."""

    bootstrap: Annotated[int, Field(ge=100)]
    seed: Seed


class Budget(Section):
    """What all systems of a study share."""

    seeds: Annotated[list[Seed], Field(min_length=1)]
    epochs: Count


class Ablate(Budget):
    """The systems of the ablation (`make ablation`)."""

    systems: list[str]
    crop_seconds: Annotated[float, Field(ge=0.3, le=60)]


class Travel(Budget):
    """The systems measured on voices that they never heard (studies/travel).

    folders: of further recordings with a manifest.csv, measured and never trained on.
    """

    systems: list[str]
    folders: list[str]


class Variant(Section):
    """A system, and nested changes of its params."""

    model_config = ConfigDict(extra="allow")

    system: str

    @property
    def changes(self) -> dict[str, Any]:
        """The changes by dotted name."""
        return flatten(self.model_extra or {})


class Replication(Budget):
    """Readings of LASPA, measured on dev (`dvc --cd studies/replication repro`)."""

    systems: dict[str, Variant]


class Backbones(Section):
    """Systems over each backbone, in hours on a CPU (`dvc --cd studies/backbones repro`).

    epochs: of each encoder, the same for all systems over it.
    """

    seeds: Annotated[list[Seed], Field(min_length=1)]
    epochs: dict[str, Count]
    encoders: list[str]
    systems: list[str]
    crop_seconds: Annotated[float, Field(ge=0.3, le=60)]
    precision: Literal["float32", "bfloat16"]

    @model_validator(mode="after")
    def _epochs_of_each(self) -> "Backbones":
        if without := [encoder for encoder in self.encoders if encoder not in self.epochs]:
            raise ValueError(f"epochs names no number for {', '.join(without)}; give each encoder its own")
        return self


class Study(Section):
    """The comparison on the full budget, run on demand (`make results`)."""

    seeds: Annotated[list[Seed], Field(min_length=2)]
    choice_epochs: Count
    choices: dict[str, Variant]
    systems: dict[str, dict[str, Any]]
    ceiling: Variant

    def variants(self) -> dict[str, Variant]:
        """All that is trained, by its place in this section."""
        systems = {name: Variant(system=name, **changes) for name, changes in self.systems.items()}
        return {
            **{f"choices.{name}": choice for name, choice in self.choices.items()},
            **{f"systems.{name}": system for name, system in systems.items()},
            "ceiling": self.ceiling,
        }
