"""Real recordings through the stages that the embedded corpus goes through."""

import os
from pathlib import Path

import pytest

from laspa.files import read_json
from tests.regression.tiny import ROOT, make_tiny_project, run

REAL_SPEECH = Path(os.environ.get("LASPA_REAL_SPEECH") or ROOT.parent / "shared" / "data")


def test_one_language_goes_through_and_says_what_it_cannot_have(tmp_path: Path) -> None:
    """80 people reading English: there are no trials across languages, and that is said."""
    speech = REAL_SPEECH / "speechocean762"
    if not (speech / "manifest.csv").is_file():
        pytest.skip(f"REAL SPEECH IS NOT TESTED: {speech} is missing; LASPA_REAL_SPEECH may name its folder")
    overrides = {"corpus": "folder", "folder.paths": [str(speech)], "train.epochs": 3}
    project = make_tiny_project(tmp_path / "project", overrides)
    run(project, "dvc", "repro", "evaluate")
    metrics = read_json(project / "reports" / "metrics.json")
    assert set(metrics["conditions"]) == {"all", "same_same"}
    assert set(metrics["omitted"]) == {"cross_cross", "cross_same", "same_cross"}
    # Chance is 0.5: the voices are told apart.
    assert metrics["conditions"]["all"]["eer"] < 0.4
