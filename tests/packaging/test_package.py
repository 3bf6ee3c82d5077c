"""Calibration, thresholds and the model card, from scores whose rates are known."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from laspa.errors import LaspaError
from laspa.evaluation.evaluate import evaluate, list_metrics
from laspa.evaluation.metadata import Metadata
from laspa.files import read_json
from laspa.packaging.package import package
from laspa.packaging.thresholds import Scored, fit_thresholds, measure_thresholds
from laspa.params import Evaluate
from laspa.recogniser.decision import read_decision
from laspa.trials.lists import TrialList
from tests.small_model import small_model

OPTIONS = Evaluate(bootstrap=100, seed=1)


def scored(name: str, seed: int, heard_shift: float = 0.0, speakers: int = 40) -> Scored:
    """Speakers with 4 utterances each, two in each language; targets score 1, others 0, both ± 0.4;
    `heard_shift` is added to pairs in two languages."""
    generator = np.random.default_rng(seed)
    speaker, language = np.repeat(np.arange(speakers), 4), np.tile(["de", "de", "en", "en"], speakers)
    one, other = (side.astype(np.int32) for side in np.triu_indices(4 * speakers, 1))
    target, same = speaker[one] == speaker[other], language[one] == language[other]
    names = pa.array([f"{name}{number}" for number in range(4 * speakers)])
    relations = {"same_language": same, "unseen_language": np.zeros_like(same)}
    scores = target + generator.normal(0, 0.4, len(one)) + heard_shift * ~same
    text = [f"{name}{number}" for number in speaker]
    metadata = Metadata(np.array(text, dtype=object), language.astype(object), None, frozenset({"de", "en"}))
    trials = TrialList(f"{name}.parquet", names, one, other, target, relations)
    return Scored(name, trials, scores, np.where(same, "same", "different"), metadata)


@pytest.fixture
def few(monkeypatch):
    """Pairs of languages get their own fit from 20 targets on."""
    monkeypatch.setattr("laspa.packaging.thresholds.FEWEST", 20)


def test_thresholds_have_their_rates_on_dev(few):
    dev = scored("dev", 0, -0.5)
    fits = fit_thresholds(dev)
    assert set(fits) == {"any", "same", "different"}
    target = dev.trials.labels()
    for heard, fit in fits.items():
        part = np.ones_like(target) if heard == "any" else dev.heard == heard
        targets, others = dev.scores[part & target], dev.scores[part & ~target]
        for far in (0.01, 0.001):
            limit = fit["thresholds"][f"far_{far:g}"]
            assert np.mean(others > limit) <= far
            assert np.mean(others >= limit) > far  # the lowest such threshold
        limit = fit["thresholds"]["eer"]
        assert abs(np.mean(others > limit) - np.mean(targets <= limit)) <= 1 / len(targets) + 1 / len(others)
        # The ratio of N(1, σ²) to N(0, σ²) is (s − ½) / σ²; those of two languages are shifted by ½.
        if heard != "any":
            assert fit["slope"] == pytest.approx(1 / 0.4**2, rel=0.35)
            assert -fit["offset"] / fit["slope"] == pytest.approx(0.5 if heard == "same" else 0, abs=0.1)


def test_rates_on_test_are_counted_by_part(few):
    fits, test = fit_thresholds(scored("dev", 0, -0.5)), scored("test", 1, -0.5)
    found = measure_thresholds(test, fits, 100, 1)
    target = test.trials.labels()
    limit = np.where(
        test.heard == "same", fits["same"]["thresholds"]["eer"], fits["different"]["thresholds"]["eer"]
    )
    accepted = test.scores > limit
    rates = found["error_rates"]["eer"]
    across = ~test.trials.relations["same_language"]
    assert rates["all"]["far"] == pytest.approx(accepted[~target].mean())
    assert rates["across languages"]["frr"] == pytest.approx(1 - accepted[target & across].mean())
    assert rates["across languages"]["trials"] == across.sum()
    for part in rates.values():
        assert part["far_low"] <= part["far"] <= part["far_high"]
        assert part["frr_low"] <= part["frr"] <= part["frr_high"]
    # A shift that is heard costs nothing; with one calibration for all it does.
    assert found["ratios"]["by_languages"]["all"]["cllr"] < found["ratios"]["pooled"]["all"]["cllr"] - 0.02


def test_too_few_pairs_of_a_kind_get_the_fit_of_all():
    fits = fit_thresholds(scored("dev", 0, speakers=12))  # 48 targets across languages, 24 within
    assert set(fits) == {"any"}
    assert "heard: any" in measure_thresholds(scored("test", 1), fits, 0, 1)["error_rates"]["eer"]


def manifest() -> pd.DataFrame:
    rows = [
        (f"{split}{number}", f"{split}{number // 4}", language, "synthetic", split, 48_000, 16_000)
        for split in ("train", "dev", "test")
        for number, language in enumerate(["de", "en"] * 4)
    ]
    names = ["utterance_id", "speaker", "language", "corpus", "split", "num_samples", "sample_rate"]
    return pd.DataFrame(rows, columns=names)


def metrics_of(test: Scored) -> dict:
    rates = evaluate(test.trials, test.scores, test.metadata, 100, 1)
    return list_metrics(rates, test.trials, "test", test.metadata)


def test_the_folder_has_all_that_its_users_need(few, tmp_path):
    trained, test = small_model(tmp_path / "trained"), scored("test", 1)
    metrics = metrics_of(test)
    for name in ("first", "second"):
        package(trained, tmp_path / name, scored("dev", 0), test, metrics, manifest(), "laspa_plus", OPTIONS)
    files = {file.name: file.read_bytes() for file in (tmp_path / "first").iterdir()}
    assert set(files) == {"model.safetensors", "config.json", "calibration.json", "README.md"}
    assert files == {file.name: file.read_bytes() for file in (tmp_path / "second").iterdir()}
    digest = read_json(tmp_path / "first/calibration.json")["model"]
    decision = read_decision(tmp_path / "first", digest)
    assert set(decision.pairs) == {"any", "same", "different"}
    _, front, body = files["README.md"].decode().split("---\n", 2)
    about = yaml.safe_load(front)
    assert about["license"] == "apache-2.0"
    assert about["language"] == ["de", "en"]
    assert about["library_name"] == "laspa"
    result = about["model-index"][0]["results"][0]
    measured = {one["name"]: one["value"] for one in result["metrics"]}
    eer = metrics["conditions"]["cross_same"]["eer"]
    assert measured["EER in %, cross / same"] == pytest.approx(100 * eer, abs=0.0051)
    for text in (
        digest,
        metrics["trial_list"]["sha256"],
        "| train | synthetic | 2 | 8 |",
        "FAR 0.1 % on dev",
    ):
        assert text in body
    tables = [line for line in body.splitlines() if line.startswith("|---")]
    headers = [body.splitlines()[body.splitlines().index(line) - 1] for line in tables]
    assert all(header.count("|") == line.count("|") for header, line in zip(headers, tables, strict=True))


def test_without_a_calibration_the_card_says_why(tmp_path):
    trained, dev, test = small_model(tmp_path / "trained"), scored("dev", 0), scored("test", 1)
    dev.scores = dev.trials.labels().astype(float)
    with pytest.raises(LaspaError, match="do not overlap"):
        fit_thresholds(dev)
    package(trained, tmp_path / "model", dev, test, metrics_of(test), manifest(), "laspa", OPTIONS)
    assert not (tmp_path / "model/calibration.json").exists()
    assert "do not overlap" in (tmp_path / "model/README.md").read_text()
