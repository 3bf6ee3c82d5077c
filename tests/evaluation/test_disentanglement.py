"""Shares of variance worked by hand and against a table of sums of squares; the whole report's shape."""

import json

import numpy as np
import pandas as pd
import pytest

from laspa.evaluation.probes import Probed, disentanglement, variance_shares


def rows(*angles: float) -> np.ndarray:
    radians = np.radians(angles)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def test_shares_are_worked_by_hand():
    # Unit vectors at ±x and ±y about a mean of zero: a sum of squares of 8, languages +x, -x, +y, -y.
    vectors = rows(0, 0, 180, 180, 90, 90, 270, 270)
    language = np.array(["a", "a", "b", "b", "c", "c", "d", "d"])
    speaker = np.array(["x", "x", "x", "x", "y", "y", "y", "y"])
    shares = variance_shares(vectors, language, speaker)
    assert shares["language"] == pytest.approx(1.0)  # nothing is left within
    # Both speakers' means are zero: 0 between, 8 within on 6 degrees of freedom, so -(8/6)/8.
    assert shares["speaker"] == pytest.approx(-1 / 6)
    assert shares["language_within_speaker"] == pytest.approx(1.0)


def test_shares_equal_sums_of_squares_written_out():
    generator = np.random.default_rng(1)
    language, speaker = generator.choice(list("abc"), 60), generator.choice(list("uvwxyz"), 60)
    vectors = (
        generator.normal(size=(60, 5))
        + 2 * generator.normal(size=(3, 5))[np.unique(language, return_inverse=True)[1]]
    )
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    total = sum(((row - unit.mean(axis=0)) ** 2).sum() for row in unit)
    within = {}
    labels = {"language": language, "speaker": speaker, "both": np.char.add(language, speaker)}
    for name, label in labels.items():
        groups = [unit[label == value] for value in np.unique(label)]
        squares = sum(((group - group.mean(axis=0)) ** 2).sum() for group in groups)
        within[name] = (squares, len(groups))
    shares = variance_shares(vectors, language, speaker)
    for name in ("language", "speaker"):
        squares, number = within[name]
        expected = (total - squares - (number - 1) * squares / (60 - number)) / total
        assert shares[name] == pytest.approx(expected)
    (coarse, speakers), (fine, cells) = within["speaker"], within["both"]
    expected = (coarse - fine - (cells - speakers) * fine / (60 - cells)) / total
    assert shares["language_within_speaker"] == pytest.approx(expected)


def test_labels_without_an_effect_explain_nothing_on_average():
    generator = np.random.default_rng(2)
    language, speaker = np.tile(["en", "hi"], 60), np.repeat(np.arange(12), 10)
    drawn = [variance_shares(generator.normal(size=(120, 4)), language, speaker) for _ in range(200)]
    for name in drawn[0]:
        values = [shares[name] for shares in drawn]
        # Without the correction the speaker's share would be 11/119, nine points.
        assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))


def test_a_share_that_groups_cannot_show_is_none():
    vectors = np.random.default_rng(3).normal(size=(6, 3))
    one, alone = np.full(6, "a"), np.arange(6).astype(str)
    pairs = np.repeat(["p", "q", "r"], 2)
    assert variance_shares(vectors, one, alone) == dict.fromkeys(
        ("language", "speaker", "language_within_speaker")
    )
    shares = variance_shares(vectors, one, pairs)
    assert shares["language"] is None
    assert shares["speaker"] is not None
    assert shares["language_within_speaker"] is None  # each speaker has one language


def test_the_report_leaves_unseen_languages_out_and_is_json():
    generator = np.random.default_rng(4)
    speaker, language = np.repeat(np.arange(12), 9), np.tile(np.repeat(["en", "hi", "fi"], 3), 12)
    ids = [f"{who}/{spoken}/{i}" for i, (who, spoken) in enumerate(zip(speaker, language, strict=True))]
    test = pd.DataFrame(
        {"utterance_id": ids, "speaker": speaker.astype(str), "language": language, "split": "test"}
    )
    train = pd.DataFrame(
        {"utterance_id": ["t1", "t2"], "speaker": "t", "language": ["en", "hi"], "split": "train"}
    )
    # Finnish, which nobody speaks in training, is the only language that the vectors show.
    vectors = generator.normal(size=(len(ids), 8)) + 20 * (language == "fi")[:, None]
    manifest = pd.concat([test, train])
    known = {"speaker": Probed(0.3, 0.5)}
    report = disentanglement({"speaker": vectors, "language": vectors}, ids, manifest, 1, known)
    json.dumps(report, allow_nan=False)
    assert set(report) == {"speaker", "language"}
    assert set(report["speaker"]) == {"language_linear", "language_mlp", "speaker", "variance"}
    assert report["speaker"]["language_linear"] == {"accuracy": 0.3, "chance": 0.5}  # not fitted again
    assert report["language"]["language_linear"]["chance"] == 0.5
    assert report["language"]["language_linear"]["accuracy"] < 0.75
    assert report["speaker"]["variance"]["language"] < 0.1
