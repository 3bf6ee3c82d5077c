"""How a system is trained."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from laspa.params.base import Count, Positive, Section, Share


class FineTune(Section):
    """A second phase from the best weights of the first, with a larger margin and longer crops."""

    epochs: Annotated[int, Field(ge=0)]
    aam_margin: Annotated[float, Field(ge=0, le=1.5)]
    crop_seconds: Annotated[float, Field(ge=0.3, le=60)]
    learning_rate: Positive


class Train(Section):
    """Optimisation (stages train and ablate)."""

    device: Literal["auto", "cpu", "cuda"]
    arithmetic: Literal["portable", "native"]
    threads: Annotated[int, Field(ge=1, le=256)]
    epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    accumulate: Count
    crop_seconds: Annotated[float, Field(ge=0.3, le=60)]
    optimizer: Literal["adamw", "sgd"]
    learning_rate: Positive
    schedule: Literal["cosine", "exponential"]
    final_rate: Share
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_share: Share
    margin_warmup_share: Share
    clip_norm: Positive
    dev_every: Count
    patience: Annotated[int, Field(ge=0)]
    precision: Literal["float32", "bfloat16", "float16"]
    compile: bool
    deterministic: bool
    workers: Annotated[int, Field(ge=1, le=1024)]
    resume: Literal["whole", "weights-only"]
    weights_from: str
    freeze: list[Literal["speaker_encoder", "language_encoder"]]
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    fine_tune: FineTune
    warp: Annotated[float, Field(ge=0, le=0.5)]
    bend: Annotated[float, Field(ge=0, le=0.2)]
    mask_bands: Annotated[int, Field(ge=0, le=256)]
    mask_frames: Annotated[int, Field(ge=0, le=1000)]

    @model_validator(mode="after")
    def _choices_go_together(self) -> "Train":
        if self.schedule == "exponential" and not self.final_rate:
            raise ValueError(
                "final_rate is 0 but an exponential schedule never gets there; set it above 0, such as 0.01"
            )
        if (self.resume == "weights-only") != bool(self.weights_from):
            raise ValueError(
                f"resume is {self.resume} and weights_from {self.weights_from!r}; give the folder of a saved "
                "model with weights-only, and an empty text with whole"
            )
        if (self.freeze or self.layer_decay < 1) and not self.weights_from:
            raise ValueError(
                f"freeze is {self.freeze} and layer_decay {self.layer_decay:g}, but weights_from is empty; "
                "name a saved model whose encoder is to be kept, or set them to [] and 1"
            )
        if self.batch_size % self.workers:
            raise ValueError(
                f"workers is {self.workers} but must divide batch_size, {self.batch_size}: each takes as "
                "many of every batch"
            )
        return self
