"""Real recordings through the stages that the embedded corpus goes through."""

import os
from pathlib import Path

import pytest

from laspa.corpora.asterisk import PACKAGES, VOICES
from laspa.files import read_json
from laspa.manifest.tables import read_manifest
from tests.regression.tiny import ROOT, make_tiny_project, run

REAL_SPEECH = Path(os.environ.get("LASPA_REAL_SPEECH") or ROOT.parent / "shared" / "data")

HER_PROMPTS = ("en_US_f_Allison", "es_MX_f_Allison")  # one woman in two languages


def test_one_language_goes_through_and_says_what_it_cannot_have(tmp_path: Path) -> None:
    """80 people reading English: there are no trials across languages, and that is said."""
    speech = REAL_SPEECH / "speechocean762"
    if not (speech / "manifest.csv").is_file():
        pytest.skip(f"REAL SPEECH IS NOT TESTED: {speech} is missing; LASPA_REAL_SPEECH may name its folder")
    overrides = {"corpus": "folder", "folder.paths": [str(speech)], "train.epochs": 3}
    project = make_tiny_project(tmp_path / "project", overrides)
    run(project, "dvc", "repro", "evaluate@laspa_plus")
    metrics = read_json(project / "data/evaluation/laspa_plus/metrics.json")
    assert set(metrics["conditions"]) == {"all", "same_same"}
    assert set(metrics["omitted"]) == {"cross_cross", "cross_same", "same_cross"}
    # Chance is 0.5: the voices are told apart.
    assert metrics["conditions"]["all"]["eer"] < 0.4


def test_a_folder_and_the_prompts_of_a_woman_in_two_languages_are_joined(tmp_path: Path) -> None:
    """Ten people who speak German to train on; Asterisk's prompts, one of them in two languages, to test."""
    speech, prompts = REAL_SPEECH / "emodb", Path("/usr/share/asterisk/sounds")
    installed = [voice for package, voice in VOICES.items() if (prompts / package).is_dir()]
    for place, remedy in (
        (speech, "LASPA_REAL_SPEECH may name its folder"),
        *((prompts / package, f"apt-get install {PACKAGES}") for package in HER_PROMPTS),
    ):
        if not place.is_dir():
            pytest.skip(f"REAL SPEECH IS NOT TESTED: {place} is missing; {remedy}")
    overrides = {"corpus": ["folder", "asterisk"], "folder.paths": [str(speech)], "train.epochs": 1}
    project = make_tiny_project(tmp_path / "project", overrides)
    run(project, "dvc", "repro", "evaluate@laspa_plus")
    manifest = read_manifest(project / "data/manifest.parquet")
    of_asterisk = manifest["speaker"].str.startswith("asterisk-")
    assert set(manifest.loc[of_asterisk, "split"]) == {"test"}
    assert set(manifest.loc[of_asterisk, "speaker"]) == {f"asterisk-{name}" for name, _, _ in installed}
    assert set(manifest.loc[~of_asterisk, "language"]) == {"deu"}
    assert set(manifest.loc[manifest["speaker"] == "asterisk-allison", "language"]) == {"eng", "spa"}
    assert "cross_same" in read_json(project / "data/evaluation/laspa_plus/metrics.json")["conditions"]
