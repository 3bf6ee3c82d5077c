"""What the figures show, against small cases worked by hand and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from laspa.report.figure_data import (
    MAP_POINTS,
    MAP_SPEAKERS,
    condition_scores,
    det_curve,
    embedding_map,
    language_pair_eers,
)


def test_conditions_pick_their_trials() -> None:
    scores = pd.DataFrame(
        {
            "target": [True, True, False, False],
            "same_language": [True, False, True, False],
            "score": [1.0, 2.0, 3.0, 4.0],
        }
    )
    found = {
        name: [part.tolist() for part in condition_scores(scores, name)] for name in ("cross_same", "all")
    }
    assert found["cross_same"] == [[2.0], [3.0]]
    assert found["all"] == [[1.0, 2.0], [3.0, 4.0]]
    assert [part.tolist() for part in condition_scores(scores, "same_cross")] == [[1.0], [4.0]]


def test_det_by_hand() -> None:
    target, nontarget = np.array([0.9, 0.5, 0.3, 0.1]), np.array([0.6, 0.4, 0.2, 0.0])
    # At most 25 % accepted: threshold above 0.4, so 0.3 and 0.1 are missed. At 50 %: above 0.2, one missed.
    found = det_curve(target, nontarget, np.array([0.1, 0.25, 0.5, 0.75]))
    assert np.isnan(found[0])  # finer than one non-target in four
    assert found[1:3].tolist() == [0.5, 0.25]
    assert np.isnan(
        found[3]
    )  # accepts all above 0.0: no target is missed, which no axis of quantiles can show


def test_det_lies_on_scikit_learn_s_roc() -> None:
    random = np.random.default_rng(1)
    target, nontarget = random.normal(1, 1, 400).round(2), random.normal(0, 1, 1000).round(2)  # with ties
    rates = np.array([0.01, 0.05, 0.2, 0.5])
    labels = np.r_[np.ones(400), np.zeros(1000)]
    false, true, _ = roc_curve(labels, np.r_[target, nontarget], drop_intermediate=False)
    best = [1 - true[false <= rate + 1e-12].max() for rate in rates]
    assert det_curve(target, nontarget, rates).tolist() == pytest.approx(best)


def test_language_pairs_by_hand() -> None:
    manifest = pd.DataFrame({"utterance_id": ["a", "b", "c", "d"], "language": ["en", "en", "fr", "xx"]})
    rows = [("a", "c", True, 0.9)] * 20 + [("a", "b", False, 0.1)] * 20 + [("a", "d", True, 0.5)]
    scores = pd.DataFrame(rows, columns=["enroll", "test", "target", "score"])
    scores.loc[:4, "score"] = 0.0  # a quarter of the targets lie below every non-target
    languages, errors = language_pair_eers(scores, manifest)
    assert languages == ["en", "fr"]
    assert errors[0, 1] == errors[1, 0] == pytest.approx(0.25)
    assert np.isnan(errors[0, 0])  # no target within English


def test_the_map_is_the_same_from_run_to_run() -> None:
    random = np.random.default_rng(3)
    rows = [
        (f"{speaker}/{language}/{take}", f"s{speaker:02d}", language)
        for speaker in range(30)
        for language in ("en", "fr")
        for take in range(3)
    ]
    manifest = pd.DataFrame(rows, columns=["utterance_id", "speaker", "language"])
    centres = random.normal(size=(30, 8))
    vectors = [centres[int(speaker[1:])] + 0.1 * random.normal(size=8) for _, speaker, _ in rows]
    embeddings = pd.DataFrame({"utterance_id": manifest["utterance_id"], "vector": vectors})
    first, second = embedding_map(embeddings, manifest), embedding_map(embeddings, manifest)
    assert first is not None
    assert second is not None
    assert first.points.tobytes() == second.points.tobytes()
    assert len(set(first.speakers.tolist())) == MAP_SPEAKERS
    assert len(first.points) <= MAP_POINTS
    # One island a speaker: everyone's nearest neighbour is their own.
    distances = np.linalg.norm(first.points[:, None] - first.points[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert (first.speakers[distances.argmin(axis=1)] == first.speakers).mean() > 0.95
    assert embedding_map(embeddings.head(5), manifest) is None
