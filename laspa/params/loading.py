"""All of params.yaml: loading, changing and checking it."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Discriminator, Field, Tag, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML

from laspa.errors import LaspaError
from laspa.files import parsed
from laspa.params.base import Seed
from laspa.params.corpora import CommonVoice, Download, Folder, OnDisk, Synthetic, SyntheticOther, VoxCeleb
from laspa.params.data import Augment, Features, Label, Manifest, Trials
from laspa.params.dotted import flatten, put
from laspa.params.evaluation import Ablate, Backbones, Evaluate, Replication, Study, Travel
from laspa.params.messages import explain, unknown_choice, unknown_key
from laspa.params.system import System
from laspa.params.training import Train
from laspa.params.tune import Tune
from laspa.redaction import without_credentials

SYSTEM_KEYS = (*System.model_fields, "train")  # what a system may change


class CombinationError(LaspaError):
    """Values of which each is allowed, but not together."""


class Params(System):
    """All of params.yaml: LASPA as published, and in `systems` what each system changes in it."""

    system: str
    systems: dict[str, dict[str, Any]]
    compare: Annotated[list[str], Field(min_length=1)]
    seed: Seed
    corpus: Annotated[  # names of laspa/corpora/catalogue.py
        Annotated[str, Tag("(name)")] | Annotated[list[str], Field(min_length=1), Tag("(list)")],
        Discriminator(lambda value: "(list)" if isinstance(value, list) else "(name)"),
    ]
    synthetic: Synthetic
    synthetic_other: SyntheticOther
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
    travel: Travel
    tune: Tune
    study: Study
    replication: Replication
    backbones: Backbones

    @field_validator("corpus")
    @classmethod
    def _each_corpus_once(cls, corpus: str | list[str]) -> str | list[str]:
        if isinstance(corpus, list) and len(set(corpus)) < len(corpus):
            raise ValueError(f"{corpus} names a corpus twice; list each once")
        return corpus

    @model_validator(mode="after")
    def _no_credentials(self) -> "Params":
        """params.yaml goes into git, dvc.lock and MLflow."""
        for name, value in flatten(self.model_dump()).items():
            text = str(value)
            if "://" in text and without_credentials(text) != text:
                raise ValueError(
                    f"{name} holds a password, token or key, which would go into git; take it out and set it "
                    "in the environment (docs/downloads.md, docs/tuning.md)"
                )
        return self

    @property
    def corpora(self) -> list[str]:
        """The names of the corpora that are joined; of one by itself a list of one."""
        return [self.corpus] if isinstance(self.corpus, str) else list(self.corpus)

    def resolve(self, name: str | None = None, source: str = "params.yaml") -> "Params":
        """The params of the system `name`, or of `system`: its changes made, no other system in them.

        Raises:
            LaspaError: an unknown system, or a change that is not allowed.
        """
        name = self.system if name is None else name
        if name not in self.systems:
            raise LaspaError(unknown_choice("system", name, self.systems, source))
        changes, where = flatten(self.systems[name]), f"{source}: systems.{name}"
        if "train.arithmetic" in changes:
            raise LaspaError(f"{where}: train.arithmetic holds for all systems; set it under train itself")
        for key in changes:
            if (section := key.partition(".")[0]) in {*Params.model_fields} - {*SYSTEM_KEYS}:
                raise LaspaError(
                    f"{where} changes {section}, but a system may change only {', '.join(SYSTEM_KEYS)}"
                )
        return with_overrides(self, changes | {"system": name, "systems": {name: {}}}, where)


def load_params(path: Path | str) -> Params:
    """Read and check params.yaml, with each system and what `study` changes.

    Raises:
        LaspaError: a file that cannot be read, or a key that is unknown, missing or out of
            range; the message names the key, its value, what is allowed and, for an unknown
            key, the nearest known one.
    """
    params = _validate(read_yaml(path), str(path))
    for name in dict.fromkeys(
        (params.system, params.tune.system, *params.compare, *params.ablate.systems, *params.systems)
    ):
        params.resolve(name, str(path))
    for place, variant in params.study.variants().items():
        # These may contradict the params of an experiment, until the study is run.
        with suppress(CombinationError):
            source = f"{path}: study.{place}"
            with_overrides(params.resolve(variant.system, source), variant.changes, source)
    return params


def with_overrides(params: Params, changes: dict[str, Any], source: str = "overrides") -> Params:
    """A copy of `params` with dotted names replaced: `{"loss_weights.nll": 0}`.

    Raises:
        LaspaError: an unknown name or a value that is not allowed.
    """
    values = params.model_dump()
    for name, value in changes.items():
        try:
            put(values, name, value)
        except (KeyError, TypeError):
            raise LaspaError(unknown_key(source, tuple(name.split(".")), Params)) from None
    return _validate(values, source)


def read_yaml(path: Path | str) -> Any:
    """A file's values by the rules of YAML 1.2, which DVC writes: `1e-05` is a number, `on` is a text.

    Raises:
        LaspaError: a file that cannot be read, or is not UTF-8 or not YAML.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = f"{path}: {error.strerror}; the params file stands at the repository's root"
        raise LaspaError(reason) from None
    except UnicodeDecodeError as error:
        raise LaspaError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    with parsed(path, "valid YAML"):
        return YAML(typ="safe", pure=True).load(text)


def yaml_scalar(value: Any) -> str:
    """A text, a number, a truth value or null in one line, which YAML 1.1 and 1.2 both read.

    By YAML 1.1 `1e-05` is a text and `no` is false, by YAML 1.2 `0o17` is a number: numbers are written
    `1.0e-05`, and a text that either could take for something else is quoted.
    """
    written = yaml.safe_dump(value, default_flow_style=True, width=sys.maxsize).splitlines()[0]
    if isinstance(value, str) and (written != value or YAML(typ="safe", pure=True).load(value) != value):
        return yaml.safe_dump(value, default_style='"', width=sys.maxsize).strip()
    return written


def _validate(raw: Any, source: str) -> Params:
    try:
        return Params.model_validate(raw if raw is not None else {})
    except ValidationError as error:
        together = all(item["type"] == "value_error" for item in error.errors())
        kind = CombinationError if together else LaspaError
        raise kind("\n".join(explain(source, item, Params) for item in error.errors())) from None
