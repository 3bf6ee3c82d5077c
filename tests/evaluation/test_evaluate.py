"""The evaluation names conditions rightly, leaves out what a corpus cannot have, refuses foreign lists."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from laspa.errors import LaspaError
from laspa.evaluation.evaluate import evaluate, list_metrics
from laspa.evaluation.metadata import manifest_metadata
from laspa.evaluation.probes import trained_language_probe
from laspa.evaluation.split import score_trials
from laspa.trials.conditions import CONDITIONS
from laspa.trials.lists import TrialList
from tests.trial_tables import trial_list

# Two speakers, each in two languages; the angles (degrees) give cosines that are known exactly.
ANGLES = {"a/en/1": 0, "a/en/2": 10, "a/hi/1": 60, "b/en/1": 40, "b/en/2": 45, "b/hi/1": 100}
MANIFEST = pd.DataFrame(
    {
        "utterance_id": list(ANGLES),
        "speaker": [name[0] for name in ANGLES],
        "language": [name.split("/")[1] for name in ANGLES],
        "gender": "f",
        "corpus": "hand",
        "split": "test",
    }
)
TRAINING = pd.DataFrame(
    {
        "utterance_id": ["t/en/1"],
        "speaker": "t",
        "language": "en",
        "gender": "f",
        "corpus": "hand",
        "split": "train",
    }
)


def embeddings(names: list[str]) -> np.ndarray:
    angles = np.radians([ANGLES[name] for name in names])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def trials(pairs: list[tuple[str, str]]) -> TrialList:
    rows = []
    for enroll, test in pairs:
        (one, first, _), (other, second, _) = enroll.split("/"), test.split("/")
        rows.append((enroll, test, one == other, first == second, True, "hi" in (first, second)))
    columns = ["enroll", "test", "target", "same_language", "same_gender", "unseen_language"]
    return trial_list(pd.DataFrame(rows, columns=columns))


PAIRS = [
    ("a/en/1", "a/en/2"),  # target, same language: 10°
    ("b/en/1", "b/en/2"),  # target, same language: 5°
    ("a/en/1", "a/hi/1"),  # target, across: 60°
    ("b/en/1", "b/hi/1"),  # target, across: 60°
    ("a/en/1", "b/en/1"),  # non-target, same language: 40°
    ("a/hi/1", "b/hi/1"),  # non-target, same language: 40°
    ("a/en/1", "b/hi/1"),  # non-target, across: 100°
    ("a/hi/1", "b/en/2"),  # non-target, across: 15°
]


def measured(pairs: list[tuple[str, str]], manifest: pd.DataFrame):
    names, listed = list(ANGLES), trials(pairs)
    scores = score_trials(listed, "hand", names, embeddings(names))
    metadata = manifest_metadata(listed, manifest)
    return list_metrics(evaluate(listed, scores, metadata, 20, 1), listed, "hand", metadata), scores


def test_conditions_are_named_target_then_nontarget():
    metrics, scores = measured(PAIRS, pd.concat([MANIFEST, TRAINING]))
    found = {name: (values["trials"], values["targets"]) for name, values in metrics["conditions"].items()}
    assert found == {
        "all": (8, 4),
        "cross_cross": (4, 2),
        "cross_same": (4, 2),
        "same_cross": (4, 2),
        "same_same": (4, 2),
    }
    eers = {name: values["eer"] for name, values in metrics["conditions"].items()}
    assert eers["same_same"] == 0.0  # 10°, 5° against 40°, 40°
    assert eers["cross_same"] == 1.0  # 60°, 60° against 40°, 40°
    assert eers["cross_cross"] == pytest.approx(0.5)  # 60°, 60° against 100°, 15°
    assert eers["same_cross"] == 0.0  # 10°, 5° against 100°, 15°
    assert metrics["omitted"] == {}
    expected = np.cos(np.radians([10, 5, 60, 60, 40, 40, 100, 15]))
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_intervals_hold_the_rate_and_are_fractions():
    conditions = measured(PAIRS, pd.concat([MANIFEST, TRAINING]))[0]["conditions"]
    assert set(conditions) == set(CONDITIONS)
    for values in conditions.values():
        assert 0 <= values["eer_low"] <= values["eer_high"] <= 1
        assert 0 <= values["min_dcf_01"] <= 1


def test_seen_and_unseen_languages_part_the_trials():
    metrics = measured(PAIRS, pd.concat([MANIFEST, TRAINING]))[0]
    assert metrics["seen"]["all"]["trials"] == 3  # the three within English
    assert metrics["unseen"]["all"]["trials"] == 5
    assert "cross_cross" not in metrics["seen"]


def test_a_monolingual_corpus_leaves_conditions_out_and_says_why():
    within = [pair for pair in PAIRS if all("/en/" in name for name in pair)]
    metrics = measured(within, pd.concat([MANIFEST, TRAINING]))[0]
    assert set(metrics["conditions"]) == {"all", "same_same"}
    assert metrics["omitted"] == {
        "cross_cross": "no target trials across languages",
        "cross_same": "no target trials across languages",
        "same_cross": "no non-target trials across languages",
    }
    names = list(ANGLES)
    probe = trained_language_probe(embeddings(names), names, pd.concat([MANIFEST, TRAINING]), seed=1)
    assert probe.accuracy is None


def test_the_list_is_named_counted_and_hashed():
    info = measured(PAIRS[4:6] + PAIRS[:1], pd.concat([MANIFEST, TRAINING]))[0]["trial_list"]
    text = "a/en/1 b/en/1 0\na/hi/1 b/hi/1 0\na/en/1 a/en/2 1\n"
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert info == {"name": "hand", "sha256": expected, "trials": 3, "speakers": 2}


def test_an_utterance_without_an_embedding_is_an_error():
    names = [name for name in ANGLES if name != "b/hi/1"]
    with pytest.raises(LaspaError, match=r"trial list hand: 1 utterance\(s\) have no embedding, b/hi/1"):
        score_trials(trials(PAIRS), "hand", names, embeddings(names))


def test_one_rate_has_one_interval_in_every_grouping():
    listed, manifest = trials(PAIRS), pd.concat([MANIFEST, TRAINING])
    scores = score_trials(listed, "hand", list(ANGLES), embeddings(list(ANGLES)))
    metadata = manifest_metadata(listed, manifest)
    found = evaluate(listed, scores, metadata, 20, 1, None, ("condition", "gender"))
    for name, rates in found["condition"].items():
        assert rates == found["conditions"][name]
    assert found["gender"]["f-f"] == found["conditions"]["all"]


def test_the_masks_of_the_conditions_are_worked_by_hand():
    target, same = np.array([True, True, False, False]), np.array([True, False, True, False])
    masks = {name: condition.mask(target, same).tolist() for name, condition in CONDITIONS.items()}
    assert masks == {
        "cross_same": [False, True, True, False],
        "same_same": [True, False, True, False],
        "cross_cross": [False, True, False, True],
        "same_cross": [True, False, False, True],
        "all": [True] * 4,
    }
