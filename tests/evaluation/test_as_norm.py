"""AS-norm against a loop over trials, and the refusal of evaluated speakers in the cohort."""

import numpy as np
import pytest

from laspa.errors import LaspaError
from laspa.evaluation.as_norm import BLOCK, as_norm, speaker_means
from laspa.evaluation.error_rates import eer
from laspa.evaluation.scores import cosine_scores


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("top", [2, 5, 300])
def test_as_norm_equals_a_plain_loop(top):
    generator = np.random.default_rng(1)
    embeddings, cohort = generator.normal(size=(12, 6)), generator.normal(size=(20, 6))
    speakers = np.array([f"test-{i // 3}" for i in range(12)])
    cohort_speakers = np.array([f"train-{i % 8}" for i in range(20)])
    enroll, test = generator.integers(12, size=(2, 40))
    centres = []
    for name in sorted(set(cohort_speakers)):
        mine = cohort[cohort_speakers == name]
        centres.append(np.mean([row / np.linalg.norm(row) for row in mine], axis=0))
    expected = []
    for a, b in zip(enroll, test, strict=True):
        score, sides = cosine(embeddings[a], embeddings[b]), []
        for side in (embeddings[a], embeddings[b]):
            nearest = sorted((cosine(side, centre) for centre in centres), reverse=True)[:top]
            sides.append((score - np.mean(nearest)) / np.std(nearest))
        expected.append(np.mean(sides))
    found = as_norm(embeddings, speakers, enroll, test, cohort, cohort_speakers, top)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


def test_a_side_that_is_near_to_everyone_is_put_into_place():
    """Embeddings of one corner of the space score high with all; relative to the cohort they do not."""
    generator = np.random.default_rng(2)
    corner = 4 * np.eye(16)[0]
    centres = generator.normal(size=(30, 16)) + np.where(np.arange(30) % 2, 1, 0)[:, None] * corner
    speaker = np.repeat(np.arange(30), 4)
    embeddings = centres[speaker] + 0.8 * generator.normal(size=(120, 16))
    cohort = generator.normal(size=(400, 16)) + np.where(np.arange(400) % 2, 1, 0)[:, None] * corner
    first, second = np.triu_indices(120, k=1)
    crowded, target = centres[:, 0] > 3, speaker[first] == speaker[second]
    plain = cosine_scores(embeddings, first, second)
    names = np.array([f"s{i}" for i in speaker])
    normed = as_norm(embeddings, names, first, second, cohort, np.arange(400).astype(str), 40)
    # Both in the crowd and different, against a speaker outside of it met again.
    alarms = ~target & crowded[speaker[first]] & crowded[speaker[second]]
    hits = target & ~crowded[speaker[first]]
    assert eer(normed[hits], normed[alarms]) < 0.7 * eer(plain[hits], plain[alarms])


def test_evaluated_speakers_in_the_cohort_are_refused():
    rows = np.eye(4)
    pairs = np.array([0]), np.array([1])
    message = (
        "cohort: 1 of its 2 speakers stand in the trial list, b among them; a cohort comes from training"
    )
    with pytest.raises(LaspaError, match=message):
        as_norm(rows[:2], np.array(["a", "b"]), *pairs, rows[2:], np.array(["b", "c"]))
    # A speaker who stands beside the trials but in none of them is no test speaker.
    as_norm(rows[:3], np.array(["a", "b", "c"]), *pairs, rows[2:], np.array(["c", "d"]))


def test_a_cohort_of_one_speaker_is_refused():
    rows = np.eye(4)
    with pytest.raises(LaspaError, match=r"cohort: 1 speaker\(s\), 2 or more"):
        as_norm(rows[:2], np.array(["a", "b"]), np.array([0]), np.array([1]), rows[2:], np.array(["c", "c"]))


def test_speaker_means_are_of_normalised_rows():
    means = speaker_means(np.array([[2.0, 0], [0, 5.0], [3.0, 0]]), np.array(["b", "b", "a"]))
    np.testing.assert_allclose(means, [[1, 0], [0.5, 0.5]])


def test_blocks_are_no_part_of_the_result():
    generator = np.random.default_rng(3)
    embeddings, cohort = generator.normal(size=(BLOCK + 5, 4)), generator.normal(size=(9, 4))
    names, cohort_names = np.full(BLOCK + 5, "x"), np.arange(9).astype(str)
    last = np.array([BLOCK + 4]), np.array([BLOCK + 3])
    whole = as_norm(embeddings, names, *last, cohort, cohort_names, 5)
    alone = as_norm(embeddings[-2:], names[-2:], np.array([1]), np.array([0]), cohort, cohort_names, 5)
    np.testing.assert_allclose(whole, alone, atol=1e-5)
