"""Cosine scores against hand-worked angles and a loop over trials."""

import math

import numpy as np
import pytest

from laspa.evaluation.scores import BLOCK, cosine_scores, length_normalised


def test_cosines_of_known_angles():
    embeddings = np.array([[2.0, 0.0], [0.0, 0.5], [3.0, 3.0], [-1.0, 0.0]])
    scores = cosine_scores(embeddings, np.array([0, 0, 0, 0]), np.array([0, 1, 2, 3]))
    np.testing.assert_allclose(scores, [1, 0, math.sqrt(0.5), -1], atol=1e-7)
    assert scores.dtype == np.float32


@pytest.mark.parametrize("trials", [0, 1, BLOCK, BLOCK + 1, 2 * BLOCK + 17])
def test_blocks_are_no_part_of_the_result(trials):
    generator = np.random.default_rng(1)
    embeddings = generator.normal(size=(40, 24))
    enroll, test = generator.integers(40, size=(2, trials))
    expected = [
        embeddings[a] @ embeddings[b] / math.sqrt((embeddings[a] ** 2).sum() * (embeddings[b] ** 2).sum())
        for a, b in zip(enroll, test, strict=True)
    ]
    np.testing.assert_allclose(cosine_scores(embeddings, enroll, test), expected, atol=1e-6)


def test_length_does_not_matter_and_sides_may_swap():
    generator = np.random.default_rng(2)
    embeddings = generator.normal(size=(10, 8)).astype(np.float32)
    enroll, test = generator.integers(10, size=(2, 30))
    scores = cosine_scores(embeddings, enroll, test)
    longer = embeddings * generator.uniform(0.5, 100, size=(10, 1))
    np.testing.assert_allclose(cosine_scores(longer, enroll, test), scores, atol=1e-6)
    np.testing.assert_array_equal(cosine_scores(embeddings, test, enroll), scores)


def test_a_row_of_zeros_stays_finite():
    unit = length_normalised(np.array([[0.0, 0.0], [0.0, -3.0]]))
    np.testing.assert_array_equal(unit, [[0, 0], [0, -1]])
    assert cosine_scores(np.array([[0.0, 0.0], [0.0, -3.0]]), np.array([0]), np.array([1])) == [0.0]


@pytest.mark.parametrize("row", [-1, 3])
def test_a_row_that_is_none_is_refused(row):
    embeddings = np.eye(3)
    for sides in (([0, row], [1, 1]), ([1, 1], [0, row])):
        with pytest.raises(IndexError, match="of 3 embeddings"):
            cosine_scores(embeddings, *map(np.array, sides))


def test_rows_of_zeros_score_nothing_also_against_each_other() -> None:
    embeddings = np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0]], dtype=np.float32)
    assert cosine_scores(embeddings, np.array([0, 0, 2]), np.array([1, 2, 2])).tolist() == [0.0, 0.0, 1.0]
