"""params.yaml as typed models: one a section, each key with its range, errors that help."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from laspa.errors import LaspaError
from laspa.params.messages import explain, range_in_words, unknown_key
from laspa.params.sections import (
    Augment,
    CommonVoice,
    CorpusName,
    Count,
    Download,
    Folder,
    Label,
    Manifest,
    OnDisk,
    Positive,
    Section,
    Seed,
    Synthetic,
    Train,
    VoxCeleb,
    Weight,
)

# The names of laspa/models/encoders.py, which is not imported here for speed.
Encoder = Literal[
    "tdnn",
    "tdnn_small",
    "resnet34_s",
    "resnet34_l",
    "ecapa_512",
    "ecapa_1024",
    "redimnet_b0",
    "redimnet_b1",
    "redimnet_b2",
    "campplus",
]


class CombinationError(LaspaError):
    """Values of which each is allowed, but not together."""


class LossWeights(Section):
    """Weights of the loss terms; a term of weight 0 is not computed."""

    aam: Weight
    nll: Weight
    mapc: Weight
    mse: Weight
    grl: Weight
    consistency: Weight


class Trials(Section):
    """Trial lists of the dev and test splits (stage trials)."""

    seed: Seed
    same_gender: bool
    per_group: Count


class Features(Section):
    """Log-mel spectrograms (stage features)."""

    num_mels: Annotated[int, Field(ge=8, le=256)]
    window_ms: Annotated[float, Field(gt=0, le=100)]
    hop_ms: Annotated[float, Field(gt=0, le=50)]
    low_hz: Annotated[float, Field(ge=0, lt=8000)]
    high_hz: Annotated[float, Field(gt=0, le=8000)]
    shard_utterances: Count
    # These two decide no log-mel, so code that computes one may leave them out.
    copies: Annotated[int, Field(ge=0, le=16)] = 0
    engine: Literal["local", "ray"] = "local"

    @model_validator(mode="after")
    def _band_is_not_empty(self) -> "Features":
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz is {self.low_hz} but must lie below high_hz, {self.high_hz}")
        return self


class Model(Section):
    """Encoders, prefix-tuners and decoder (stages train and ablate)."""

    speaker_encoder: Encoder
    language_encoder: Encoder
    embedding_dim: Annotated[int, Field(ge=8)]
    fusion: Literal["prefix", "concat"]
    attention_dim: Annotated[int, Field(ge=1)]
    keys: Literal["frames", "pooled"]
    heads: Literal["encoder", "fused"]
    decoder_dim: Annotated[int, Field(ge=8)]
    content_dim: Annotated[int, Field(ge=0)]
    sub_centres: Annotated[int, Field(ge=1, le=16)]
    mapc: Literal["batch", "utterance", "matrix"]
    centring: Literal["none", "language"]


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


class Tune(Section):
    """The search for hyperparameters, run on demand; laspa/tuning/space.py checks the space."""

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


class Study(Section):
    """The comparison on the full budget, run on demand (`make results`)."""

    seeds: Annotated[list[Seed], Field(min_length=2)]
    choice_epochs: Count
    choices: dict[str, dict[str, Any]]
    systems: dict[str, dict[str, Any]]
    ceiling: dict[str, Any]


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

    def system(self) -> "System":
        """This system alone, without what is not part of a model."""
        return System.model_validate(self.model_dump(include=set(System.model_fields)))


class Params(System):
    """All of params.yaml."""

    seed: Seed
    corpus: Annotated[
        Annotated[CorpusName, Tag("(name)")]
        | Annotated[list[CorpusName], Field(min_length=1), Tag("(list)")],
        Discriminator(lambda value: "(list)" if isinstance(value, list) else "(name)"),
    ]
    synthetic: Synthetic
    folder: Folder
    download: Download
    voxceleb1: VoxCeleb
    voxceleb2: VoxCeleb
    common_voice: CommonVoice
    tidyvoice: OnDisk
    asterisk: OnDisk
    label: Label
    manifest: Manifest
    trials: Trials
    features: Features
    augment: Augment
    train: Train
    evaluate: Evaluate
    ablate: Ablate
    tune: Tune
    study: Study

    @field_validator("corpus")
    @classmethod
    def _each_corpus_once(cls, corpus: str | list[str]) -> str | list[str]:
        if isinstance(corpus, list) and len(set(corpus)) < len(corpus):
            raise ValueError(f"{corpus} names a corpus twice; list each once")
        return corpus

    @property
    def corpora(self) -> list[str]:
        """The names of the corpora that are joined; of one by itself a list of one."""
        return [self.corpus] if isinstance(self.corpus, str) else list(self.corpus)


def load_params(path: Path | str) -> Params:
    """Read and check params.yaml, the systems of `ablate` and `study` included.

    Raises:
        LaspaError: a file that cannot be read, or a key that is unknown, missing or out of
            range; the message names the key, its value, what is allowed and, for an unknown
            key, the nearest known one.
    """
    raw = _read_yaml(path)
    params = _validate(raw, str(path))
    for name, changes in params.ablate.systems.items():
        with_overrides(params, changes, f"{path}: ablate.systems.{name}")
    # What a study changes may be at odds with an experiment's params, until it is run.
    study = params.study
    for name, changes in (study.choices | study.systems | {"ceiling": study.ceiling}).items():
        for key, value in changes.items():
            check_value(key, value, f"{path}: study.{name}")
    return params


def with_overrides(params: Params, changes: dict[str, Any], source: str = "overrides") -> Params:
    """A copy of `params` with dotted names replaced: `{"loss_weights.nll": 0}`.

    Raises:
        LaspaError: an unknown name or a value that is not allowed.
    """
    raw = params.model_dump()
    for dotted, value in changes.items():
        section = raw
        *parents, key = dotted.split(".")
        for depth, parent in enumerate(parents):
            if not isinstance(section.get(parent), dict):
                raise LaspaError(unknown_key(source, tuple(parents[: depth + 1]), Params))
            section = section[parent]
        if key not in section:
            raise LaspaError(unknown_key(source, (*parents, key), Params))
        section[key] = value
    return _validate(raw, source)


def check_value(name: str, value: Any, source: str) -> None:
    """Check one value by itself, whatever the others are.

    Args:
        name: dotted; source: what the message begins with.

    Raises:
        LaspaError: an unknown name, or a value of a wrong kind or out of range.
    """
    *parents, key = name.split(".")
    section: Any = Params
    for depth, parent in enumerate(parents):
        fields = getattr(section, "model_fields", {})
        if parent not in fields:
            raise LaspaError(unknown_key(source, tuple(parents[: depth + 1]), Params))
        section = fields[parent].annotation
    field = getattr(section, "model_fields", {}).get(key)
    if field is None:
        raise LaspaError(unknown_key(source, (*parents, key), Params))
    annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    checked = TypeAdapter(annotation, config=ConfigDict(strict=True))
    try:
        checked.validate_python(value)
    except ValidationError as error:
        item = error.errors()[0]
        allowed = range_in_words((*parents, key), Params) or item["msg"].removeprefix("Input should be ")
        raise LaspaError(f"{source} has {value!r} but {name} should be {allowed}") from None


def _read_yaml(path: Path | str) -> Any:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        reason = f"{path}: {error.strerror}; the params file stands at the repository's root"
        raise LaspaError(reason) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LaspaError(f"{path}: not valid YAML: {error}") from None


def _validate(raw: Any, source: str) -> Params:
    try:
        return Params.model_validate(raw if raw is not None else {})
    except ValidationError as error:
        together = all(item["type"] == "value_error" for item in error.errors())
        kind = CombinationError if together else LaspaError
        raise kind("\n".join(explain(source, item, Params) for item in error.errors())) from None
