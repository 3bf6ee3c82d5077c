"""The search for hyperparameters."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from laspa.params.base import Count, Positive, Section, Seed


class Tune(Section):
    """The search for hyperparameters, run on demand; laspa/tuning/space.py checks the space."""

    system: str
    space: dict[str, dict[str, Any]]
    sampler: Literal["random", "optuna", "grid"]
    seed: Seed
    trials: Count
    epochs: Count
    scheduler: Literal["asha", "none"]
    grace_epochs: Count
    keep_one_in: Annotated[int, Field(ge=2)]
    retries: Annotated[int, Field(ge=0)]
    concurrent: Count
    cpus: Annotated[float, Field(gt=0)]
    gpus: Annotated[float, Field(ge=0)]
    max_hours: Positive
    storage: Annotated[str, Field(min_length=1)]
    data: Annotated[str, Field(min_length=1)]
    confirm_seeds: Annotated[list[Seed], Field(min_length=2)]

    @model_validator(mode="after")
    def _grace_is_within_the_budget(self) -> "Tune":
        if self.grace_epochs > self.epochs:
            raise ValueError(
                f"grace_epochs is {self.grace_epochs} but should be at most epochs, {self.epochs}"
            )
        if self.gpus > 1 and self.gpus % 1:
            raise ValueError(
                f"gpus is {self.gpus} but should be a share of one GPU or a whole number of them"
            )
        return self
