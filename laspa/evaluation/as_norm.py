"""AS-norm: a trial's cosine, relative to how near its two sides come to speakers of the training data."""

import numpy as np

from laspa.errors import LaspaError
from laspa.evaluation.scores import cosine_scores, length_normalised

TOP = 300  # nearest cohort speakers that count, as WeSpeaker's recipe for VoxCeleb has it
BLOCK = 1024  # embeddings taken at a time, to bound memory
SMALLEST_SPREAD = 1e-6  # of the nearest cohort's cosines; below it is rounding


def refuse_overlap(cohort_speakers: set[str], evaluated_speakers: set[str]) -> None:
    """A cohort that holds an evaluated speaker would tune the system on what it is measured on.

    Raises:
        LaspaError: names how many and one of them.
    """
    if both := cohort_speakers & evaluated_speakers:
        raise LaspaError(
            f"cohort: {len(both)} of its {len(cohort_speakers)} speakers stand in the trial list, "
            f"{min(both)} among them; a cohort comes from training data only"
        )


def as_norm(
    embeddings: np.ndarray,
    speakers: np.ndarray,
    enroll: np.ndarray,
    test: np.ndarray,
    cohort: np.ndarray,
    cohort_speakers: np.ndarray,
    top: int = TOP,
) -> np.ndarray:
    """Adaptive symmetric normalisation (Matějka et al., 2017).

    ½·((s − μ_e)/σ_e + (s − μ_t)/σ_t), with mean and deviation of the `top` highest cosines of each
    side with the cohort. A cohort speaker is the mean of his length-normalised embeddings.

    Args:
        embeddings: (n, D); speakers: (n,) their speakers.
        enroll, test: (trials,) rows of `embeddings`.
        cohort: (m, D); cohort_speakers: (m,) their speakers.
        top: fewer where the cohort has fewer speakers.

    Returns:
        (trials,) float32.

    Raises:
        LaspaError: a cohort speaker is evaluated, or the cohort has fewer than two speakers.
    """
    evaluated = np.unique(np.concatenate([enroll, test]))
    refuse_overlap(set(cohort_speakers.tolist()), set(speakers[evaluated].tolist()))
    centres = speaker_means(cohort, cohort_speakers)
    if len(centres) < 2:
        raise LaspaError(f"cohort: {len(centres)} speaker(s), 2 or more are needed for a deviation")
    mean, spread = nearest_cohort(embeddings, centres, min(top, len(centres)))
    score = cosine_scores(embeddings, enroll, test)
    normalised = sum((score - mean[side]) / spread[side] for side in (enroll, test))
    return np.asarray(normalised / 2, dtype=np.float32)


def speaker_means(embeddings: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """(speakers, D) float32: means of length-normalised embeddings, in the order of the speakers' names."""
    number = np.unique(speakers, return_inverse=True)[1]
    sums = np.zeros((number.max() + 1, embeddings.shape[1]))
    for start in range(0, len(embeddings), BLOCK):
        rows = slice(start, start + BLOCK)
        np.add.at(sums, number[rows], length_normalised(embeddings[rows]))
    return (sums / np.bincount(number)[:, None]).astype(np.float32)


def nearest_cohort(embeddings: np.ndarray, centres: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of the `top` highest cosines of each embedding with the cohort, (n,) each."""
    unit, cohort = (length_normalised(rows.astype(np.float32)) for rows in (embeddings, centres))
    mean, spread = np.empty(len(unit), np.float32), np.empty(len(unit), np.float32)
    for start in range(0, len(unit), BLOCK):
        rows = slice(start, start + BLOCK)
        cosines = unit[rows] @ cohort.T
        nearest = np.partition(cosines, cosines.shape[1] - top, axis=1)[:, -top:]
        mean[rows], spread[rows] = nearest.mean(axis=1), nearest.std(axis=1)
    return mean, np.maximum(spread, SMALLEST_SPREAD)
