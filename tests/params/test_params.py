"""params.yaml: the committed file is valid, and each kind of mistake is named with its remedy."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from laspa.errors import LaspaError
from laspa.params import Params, System, load_params, with_overrides
from laspa.params.dotted import put
from laspa.params.loading import read_yaml

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
            {"backbones.encoders": ["tdnn"]},
            "params.yaml: backbones: epochs names no number for tdnn; give each encoder its own",
        ),
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
        (
            {"synthetic_other.languages": ["en", "sw", "en"]},
            "params.yaml: synthetic_other: languages_per_speaker is 3 but there are only 2 languages",
        ),
    ],
)
def test_a_mistake_is_named_with_its_remedy(changes: dict[str, Any], expected: str) -> None:
    assert message(changes) == expected


def test_all_mistakes_are_named_at_once() -> None:
    lines = message({"prefix_len": -1, "train.epochs": 0}).splitlines()
    assert [line.split()[1] for line in lines] == ["prefix_len", "train.epochs"]


def test_a_system_is_what_it_changes_in_the_params_and_no_more(params: Params) -> None:
    plain, plus = params.resolve("laspa"), params.resolve("laspa_plus")
    changes = {"train.warp": 0.04, "train.bend": 0.015, "model.centring": "language"}
    changes |= {"model.keys": "frames", "model.content_dim": 8}
    assert with_overrides(params, {"system": "laspa", "systems": {"laspa": {}}}) == plain
    assert with_overrides(plain, changes | {"system": "laspa_plus", "systems": {"laspa_plus": {}}}) == plus
    assert params.resolve() == params.resolve(params.system) == params.resolve().resolve()


def test_an_unknown_system_is_named_with_those_there_are(params: Params) -> None:
    with pytest.raises(LaspaError) as error:
        params.resolve("plus")
    assert str(error.value) == (
        "params.yaml: system is 'plus' but should be one of laspa_plus, laspa, laspa_frames, no_prefix, "
        "no_mapc, no_mse, no_nll, concat, baseline, grl, grl_mapc"
    )


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("system", "plus", "system is 'plus' but should be one of laspa_plus, laspa, "),
        ("systems.laspa", {"train": {"wrap": 0}}, "systems.laspa: unknown key train.wrap; the nearest known"),
        ("systems.laspa", {"train": 1}, "systems.laspa: train is 1 but should be a section"),
        (
            "systems.laspa",
            {"seed": 2},
            "systems.laspa changes seed, but a system may change only prefix_len, ",
        ),
        (
            "study.choices.laspa_plus.system",
            "plus",
            "study.choices.laspa_plus: system is 'plus'",
        ),
        ("study.choices.laspa_plus", {"model": {}}, "study.choices.laspa_plus.system is missing"),
        ("study.systems", {"plus": {}}, "study.systems.plus: system is 'plus' but should be one of "),
        ("study.ceiling.synthetic", {"seed": -1}, "study.ceiling: synthetic.seed is -1 but should be from 0"),
    ],
)
def test_a_mistake_in_a_system_is_named(tmp_path: Path, place: str, value: Any, expected: str) -> None:
    raw, file = read_yaml(PARAMS_FILE), tmp_path / "params.yaml"
    put(raw, place, value)
    file.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    with pytest.raises(LaspaError) as error:
        load_params(file)
    assert str(error.value).startswith(f"{file}: {expected}")


def test_a_choice_that_contradicts_an_experiment_hinders_nothing_else(tmp_path: Path) -> None:
    raw, file = read_yaml(PARAMS_FILE), tmp_path / "params.yaml"
    raw["loss_weights"]["nll"], raw["systems"]["laspa_plus"] = 0, {}  # laspa_centred then lacks a classifier
    file.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    params = load_params(file)
    with pytest.raises(LaspaError, match=r"centring is language but loss_weights\.nll is 0"):
        with_overrides(params.resolve("laspa"), params.study.choices["laspa_centred"].changes)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-05", 1e-05),
        ("1e5", 100_000.0),
        ("6.0e-5", 6e-05),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("0o17", 15),
        ("017", 17),
        ("1:30", "1:30"),
        ("{<<: {a: 1, b: 2}, b: 3}", {"a": 1, "b": 3}),
        ("[&x {a: 1}, *x]", [{"a": 1}, {"a": 1}]),
    ],
)
def test_values_are_read_as_yaml_1_2_which_dvc_writes(tmp_path: Path, written: str, value: Any) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(f"key: {written}\n", encoding="utf-8")
    found = read_yaml(file)["key"]
    assert (found, type(found)) == (value, type(value))


def test_every_system_is_checked(tmp_path: Path) -> None:
    raw = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))
    raw["systems"]["laspa"] = {"num_heads": 5, "model": {"attention_dim": 8}}
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    with pytest.raises(LaspaError, match=r"params\.yaml: systems\.laspa: num_heads is 5 but must divide"):
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
