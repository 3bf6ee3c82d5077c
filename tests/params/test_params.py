"""params.yaml: the committed file is valid, and each kind of mistake is named with its remedy."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from laspa.errors import LaspaError
from laspa.params import Params, System, load_params, with_overrides

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture(scope="module")
def params() -> Params:
    return load_params(PARAMS_FILE)


def message(changes: dict[str, Any]) -> str:
    with pytest.raises(LaspaError) as error:
        with_overrides(load_params(PARAMS_FILE), changes, "params.yaml")
    return str(error.value)


def test_the_committed_file_says_what_is_loaded(params: Params) -> None:
    assert params.model_dump() == yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))


def test_sweep_params_stand_at_top_level(params: Params) -> None:
    for name in ("prefix_len", "num_heads", "aam_margin", "aam_scale", "loss_weights"):
        assert name in System.model_fields
        assert name in yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))


def test_an_override_changes_its_key_alone(params: Params) -> None:
    changed = with_overrides(params, {"prefix_len": 16, "loss_weights.mapc": 0.25})
    expected = params.model_dump()
    expected["prefix_len"], expected["loss_weights"]["mapc"] = 16, 0.25
    assert changed.model_dump() == expected
    assert params.prefix_len != 16


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"prefix_len": -1}, "params.yaml: prefix_len is -1 but should be from 0 to 512"),
        ({"prefix_len": 513}, "params.yaml: prefix_len is 513 but should be from 0 to 512"),
        ({"prefix_len": "8"}, "params.yaml: prefix_len is '8' but should be a valid integer, from 0 to 512"),
        ({"aam_scale": 0}, "params.yaml: aam_scale is 0 but should be above 0 and at most 1000"),
        ({"train.epochs": 0}, "params.yaml: train.epochs is 0 but should be at least 1"),
        (
            {"aam_margin": float("nan")},
            "params.yaml: aam_margin is nan but should be a finite number, from 0 to 1.5",
        ),
        ({"ablate.seeds": [1, -1]}, "params.yaml: ablate.seeds.1 is -1 but should be from 0 to 2147483647"),
        ({"ablate.seeds": []}, "params.yaml: ablate.seeds is [] but should be a list of at least 1"),
        ({"train": None}, "params.yaml: train is None but should be a section of keys and values"),
        (
            {"num_heads": 3, "model.attention_dim": 8},
            "params.yaml: num_heads is 3 but must divide model.attention_dim, 8",
        ),
        ({"prefix_length": 8}, "params.yaml: unknown key prefix_length; the nearest known key is prefix_len"),
        (
            {"train.epoch": 8},
            "params.yaml: unknown key train.epoch; the nearest known key is train.epochs",
        ),
        (
            {"los_weights.aam": 1},
            "params.yaml: unknown key los_weights; the nearest known key is loss_weights",
        ),
        (
            {"features.low_hz": 7700.0},
            "params.yaml: features: low_hz is 7700.0 but must lie below high_hz, 7600.0",
        ),
        (
            {"synthetic.unseen_languages": ["en"]},
            "params.yaml: synthetic: languages and unseen_languages share ['en']; list each language once",
        ),
    ],
)
def test_a_mistake_is_named_with_its_remedy(changes: dict[str, Any], expected: str) -> None:
    assert message(changes) == expected


def test_all_mistakes_are_named_at_once() -> None:
    lines = message({"prefix_len": -1, "train.epochs": 0}).splitlines()
    assert [line.split()[1] for line in lines] == ["prefix_len", "train.epochs"]


def test_a_system_of_the_ablation_is_checked(tmp_path: Path) -> None:
    raw = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))
    raw["ablate"]["systems"]["laspa"] = {"num_heads": 5, "model.attention_dim": 8}
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(
        LaspaError, match=r"params\.yaml: ablate\.systems\.laspa: num_heads is 5 but must divide"
    ):
        load_params(file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1", "not valid YAML"),
        ("[1, 2]", r"should hold keys and values, but is \[1, 2\]"),
        ("", "prefix_len is missing"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(LaspaError, match=expected) as error:
        load_params(file)
    assert str(file) in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LaspaError, match=r"nowhere\.yaml: No such file"):
        load_params(tmp_path / "nowhere.yaml")
