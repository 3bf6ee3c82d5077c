"""The stage label on the tiny profile: its own model tells the languages of speakers that it never heard."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from laspa.manifest.language_codes import iso_639_3
from laspa.manifest.tables import read_manifest
from tests.regression.tiny import make_tiny_project, run, set_params

pytestmark = pytest.mark.regression

THRESHOLD = 0.9


def test_the_tiny_corpus_gets_its_languages_back(tmp_path: Path) -> None:
    project = make_tiny_project(tmp_path / "tiny")
    run(project, "dvc", "repro", "train@laspa_plus")
    known = read_manifest(project / "data" / "manifest.parquet")
    shutil.copytree(project / "data/trained/laspa_plus", project / "models" / "lid")
    raw = project / "data" / "raw"
    index = pd.read_csv(raw / "index.csv", dtype=str, keep_default_na=False)
    truth = index[index["split"] == "test"].set_index("path")["language"]
    (raw / "index.csv").unlink()  # a link into DVC's cache, which stays as it is
    languages = index["language"].where(index["split"] != "test", "und")
    index.assign(language=languages).to_csv(raw / "index.csv", index=False)
    refused = run(project, "python", "-m", "pipelines.label", check=False)
    assert refused.returncode == 1
    assert f"{len(truth)} of {len(index)} recordings have no language" in refused.stdout

    settings = {"label.model": "own", "label.weights": "models/lid", "label.threshold": THRESHOLD}
    set_params(project, settings)
    run(project, "python", "-m", "pipelines.label")
    labels = pd.read_parquet(project / "data" / "labels.parquet").set_index("path")
    assert set(labels.index) == set(truth.index)
    seen = truth[truth.isin(index.loc[index["split"] == "train", "language"])]
    hit = labels.loc[seen.index, "language"] == seen.map(iso_639_3)
    right = hit.mean()
    # Four languages: chance is 0.25, and 96 recordings of 24 speakers seldom reach 0.5 by it.
    assert right > 0.5
    sure = labels["confidence"] >= THRESHOLD
    assert hit[sure.loc[seen.index]].mean() >= right

    run(project, "python", "-m", "pipelines.manifest")
    manifest = read_manifest(project / "data" / "manifest.parquet")
    skipped = pd.read_csv(project / "data" / "skipped.csv")
    assert list(manifest.columns) == list(known.columns)
    assert len(manifest) == len(known) - np.count_nonzero(~sure)
    assert set(skipped["path"]) == set(labels.index[~sure])
    assert skipped["reason"].str.contains("is below label.threshold, 0.9").all()
    heard = manifest[manifest["split"] == "test"].set_index("path")["language"]
    assert (heard == labels.loc[heard.index, "language"]).all()
    print(f"right on seen languages: {right:.3f} of {len(seen)}; {sure.mean():.3f} of all at {THRESHOLD}")
