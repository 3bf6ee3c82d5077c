"""The comparison itself: what counts as inside, and that a missing metric never does."""

import json
from pathlib import Path
from typing import Any

import pytest

from laspa.files import read_json
from laspa.params import load_params
from tests.regression.compare import EXPECTED, compare, table
from tests.regression.tiny import PROFILE, round_trip, set_params


def entry(path: str, expected: float, tolerance: float) -> dict[str, Any]:
    return {"file": "m.json", "path": path, "expected": expected, "tolerance": tolerance, "guards": "x"}


@pytest.mark.parametrize(
    ("path", "expected", "tolerance", "ok"),
    [
        ("conditions.all.eer", 0.1, 0.0, True),
        ("conditions.all.eer", 0.125, 0.03, True),
        ("conditions.all.eer", 0.125, 0.02, False),
        ("conditions.all.eer", 0.075, 0.02, False),
        ("history.-1.loss", 2.0, 0.0, True),
        ("mse", 0.0, 9.0, False),
        ("conditions.cross_same.eer", 0.0, 9.0, False),
    ],
)
def test_a_metric_is_inside_its_tolerance_or_not(
    tmp_path: Path, path: str, expected: float, tolerance: float, ok: bool
) -> None:
    measured = {"conditions": {"all": {"eer": 0.1}}, "mse": None, "history": [{"loss": 3.0}, {"loss": 2.0}]}
    (tmp_path / "m.json").write_text(json.dumps(measured))
    (row,) = compare(tmp_path, {"metric": entry(path, expected, tolerance)})
    assert row.ok is ok
    assert (" yes " in table([row])) is ok


def test_every_expectation_says_what_it_guards() -> None:
    for name, expectation in read_json(EXPECTED).items():
        assert set(expectation) == {"file", "path", "expected", "tolerance", "guards"}, name
        assert 0 < expectation["tolerance"] < 1, name
        assert expectation["guards"], name


def test_the_tiny_profile_is_valid_and_keeps_the_comments(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text((PROFILE.parents[2] / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    comments = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    profile = round_trip().load(PROFILE)
    set_params(tmp_path, profile["params"])
    assert load_params(file).synthetic.train_speakers == profile["params"]["synthetic.train_speakers"]
    assert comments
    assert set(comments) <= set(file.read_text(encoding="utf-8").splitlines())
    with pytest.raises(KeyError, match=r"no train\.lr"):
        set_params(tmp_path, {"train.lr": 1})
