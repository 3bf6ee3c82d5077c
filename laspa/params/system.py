"""The system: architecture and loss, the part of params.yaml that a saved model carries."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from laspa.params.base import Section, Weight


class LossWeights(Section):
    """Weights of the loss terms; a term of weight 0 is not computed.

    A term added later has the default 0, so that models saved before can be read.
    """

    aam: Weight
    nll: Weight
    mapc: Weight
    mse: Weight
    grl: Weight


READ_LANGUAGE = ("nll", "mapc", "mse")  # terms that read language embeddings


class Model(Section):
    """Encoders, prefix-tuners and decoder (stages train and ablate)."""

    speaker_encoder: str  # a name of laspa/models/encoders.py
    language_encoder: str  # a name of laspa/models/encoders.py
    embedding_dim: Annotated[int, Field(ge=8)]
    fusion: Literal["prefix", "concat"]
    attention_dim: Annotated[int, Field(ge=1)]
    keys: Literal["frames", "pooled"]
    heads: Literal["encoder", "fused"]
    decoder_dim: Annotated[int, Field(ge=8)]
    content_dim: Annotated[int, Field(ge=0)]
    sub_centres: Annotated[int, Field(ge=1, le=16)]
    mapc: Literal["batch", "utterance", "distance"]
    centring: Literal["none", "language"]


class System(Section):
    """What makes a system: architecture and loss, the part of params.yaml that a saved model carries."""

    prefix_len: Annotated[int, Field(ge=0, le=512)]
    num_heads: Annotated[int, Field(ge=1, le=64)]
    aam_margin: Annotated[float, Field(ge=0, le=1.5)]
    aam_scale: Annotated[float, Field(gt=0, le=1000)]
    loss_weights: LossWeights
    model: Model

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "System":
        if self.model.attention_dim % self.num_heads:
            raise ValueError(
                f"num_heads is {self.num_heads} but must divide model.attention_dim, "
                f"{self.model.attention_dim}"
            )
        if self.model.centring == "language" and not self.loss_weights.nll:
            raise ValueError(
                "model.centring is language but loss_weights.nll is 0, which leaves no language posterior to "
                "centre by; give the term a weight or set model.centring to none"
            )
        return self

    @property
    def has_language_encoder(self) -> bool:
        """Whether a loss term reads language embeddings."""
        return any(getattr(self.loss_weights, term) for term in READ_LANGUAGE)

    @property
    def has_fusion(self) -> bool:
        """Whether fused embeddings are decoded or classified."""
        fused = self.loss_weights.mse or self.model.heads == "fused"
        return bool(self.has_language_encoder and fused)

    def unread(self) -> dict[str, Any]:
        """By dotted name, what this system does not read, with an allowed value in its place.

        A training depends on its params with these values, so that it does not run again if they change.
        """
        found: dict[str, Any] = {}
        if not self.has_fusion or self.model.fusion != "prefix":
            found |= {"prefix_len": 0, "num_heads": 1, "model.attention_dim": 1, "model.keys": "frames"}
        if not self.loss_weights.mse:
            found |= {"model.decoder_dim": 8, "model.content_dim": 0}
        if not self.has_language_encoder:
            found |= {"model.language_encoder": self.model.speaker_encoder, "model.fusion": "prefix"}
            found |= {"model.heads": "encoder", "model.mapc": "batch"}
        return found

    def as_system(self) -> "System":
        """This system alone, without what is not part of a model."""
        return System.model_validate(self.model_dump(include=set(System.model_fields)))
