"""All of params.yaml: loading, changing and checking it."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Discriminator, Field, Tag, ValidationError, field_validator

from laspa.errors import LaspaError
from laspa.params import dotted
from laspa.params.base import Seed
from laspa.params.corpora import CommonVoice, Download, Folder, OnDisk, Synthetic, VoxCeleb
from laspa.params.data import Augment, Features, Label, Manifest, Trials
from laspa.params.evaluation import Ablate, Evaluate, Study
from laspa.params.messages import explain, unknown_key
from laspa.params.system import System
from laspa.params.training import Train
from laspa.params.tune import Tune


class CombinationError(LaspaError):
    """Values of which each is allowed, but not together."""


class Params(System):
    """All of params.yaml."""

    seed: Seed
    corpus: Annotated[  # names of laspa/corpora/catalogue.py
        Annotated[str, Tag("(name)")] | Annotated[list[str], Field(min_length=1), Tag("(list)")],
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
        with suppress(CombinationError):
            with_overrides(params, changes, f"{path}: study.{name}")
    return params


def with_overrides(params: Params, changes: dict[str, Any], source: str = "overrides") -> Params:
    """A copy of `params` with dotted names replaced: `{"loss_weights.nll": 0}`.

    Raises:
        LaspaError: an unknown name or a value that is not allowed.
    """
    values = params.model_dump()
    for name, value in changes.items():
        try:
            dotted.put(values, name, value)
        except (KeyError, TypeError):
            raise LaspaError(unknown_key(source, tuple(name.split(".")), Params)) from None
    return _validate(values, source)


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
