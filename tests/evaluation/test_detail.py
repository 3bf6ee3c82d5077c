"""Rates by part of a made-up list: the same as those of the command line, calibrated, under AS-norm."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laspa.cli.main import main
from laspa.errors import LaspaError
from laspa.evaluation.detail import detailed_rates, dev_calibration, normalised
from laspa.evaluation.scores import cosine_scores
from laspa.params import Trials
from laspa.trials.drawing import generate_trials


@pytest.fixture(scope="module")
def manifest() -> pd.DataFrame:
    rows = [
        {
            "utterance_id": f"{split}{number}/{language}/{take}",
            "speaker": f"{split}{number}",
            "language": language,
            "gender": "fm"[number % 2],
            "split": split,
        }
        for split in ("train", "dev", "test")
        for number in range(6)
        for language in ("en", "hi")
        for take in range(3)
    ]
    return pd.DataFrame(rows)


def embedded(manifest: pd.DataFrame, split: str) -> tuple[list[str], np.ndarray]:
    part = manifest[manifest["split"] == split]
    generator = np.random.default_rng(len(split))
    voice = dict(zip(part["speaker"].unique(), generator.normal(size=(6, 8)), strict=True))
    vectors = np.stack([voice[name] for name in part["speaker"]]) + 1.2 * generator.normal(
        size=(len(part), 8)
    )
    return part["utterance_id"].tolist(), vectors.astype(np.float32)


def scored(manifest: pd.DataFrame, split: str) -> pd.DataFrame:
    trials = generate_trials(manifest, split, Trials(seed=1, same_gender=True, per_group=60))
    ids, vectors = embedded(manifest, split)
    place = {name: number for number, name in enumerate(ids)}
    rows = (trials[side].map(place).to_numpy() for side in ("enroll", "test"))
    return trials.assign(score=cosine_scores(vectors, *rows))


def test_it_is_what_the_command_line_says(manifest, tmp_path, capsys):
    dev, test = scored(manifest, "dev"), scored(manifest, "test")
    calibration, why_none = dev_calibration(dev, *embedded(manifest, "dev"))
    assert why_none is None
    found = detailed_rates(test, manifest, calibration, resamples=100, seed=1)
    for name, table in (("dev", dev), ("test", test)):
        table.to_parquet(tmp_path / f"{name}.parquet")
    pq.write_table(pa.Table.from_pandas(manifest, preserve_index=False), tmp_path / "manifest.parquet")
    options = ["--manifest", str(tmp_path / "manifest.parquet"), "--bootstrap", "100", "--json"]
    options += ["--calibrate", str(tmp_path / "dev.parquet")]
    for kind in ("condition", "language-pair", "gender", "seen"):
        options += ["--by", kind]
    assert main(["metrics", str(tmp_path / "test.parquet"), *options]) == 0
    printed = json.loads(capsys.readouterr().out)["parts"]
    flat = {name: rates for parts in found.values() for name, rates in parts.items() if rates}
    assert set(flat) == set(printed)
    for name, rates in flat.items():
        assert rates == pytest.approx(printed[name]), name


def test_dev_trials_that_do_not_overlap_calibrate_nothing(manifest):
    part = manifest[manifest["split"] == "dev"]
    vectors = np.eye(6, dtype=np.float32)[part["speaker"].factorize()[0]]
    trials = generate_trials(manifest, "dev", Trials(seed=1, same_gender=True, per_group=60))
    calibration, why_none = dev_calibration(trials, part["utterance_id"].tolist(), vectors)
    assert calibration is None
    assert "do not overlap" in why_none


def test_a_cohort_of_training_speakers_alone(manifest):
    test = scored(manifest, "test")
    ids, vectors = embedded(manifest, "test")
    adapted, size = normalised(test, ids, vectors, *embedded(manifest, "train"), manifest)
    assert size == {"utterances": 36, "speakers": 6, "nearest": 6}
    assert list(adapted.columns) == list(test.columns)
    assert not np.allclose(adapted["score"], test["score"])
    with pytest.raises(LaspaError, match="cohort comes from training data only"):
        normalised(test, ids, vectors, ids, vectors, manifest)
