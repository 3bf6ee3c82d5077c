"""What simple classifiers read out of embeddings that are meant not to hold it.

Every probe is tested on speakers that it was not trained on: they are halved at random, a probe is
trained on each half and tested on the other. Figures are accuracies, each with its chance level.
"""

import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from laspa.evaluation.error_rates import eer
from laspa.evaluation.scores import length_normalised
from laspa.manifest.tables import trained_languages

HALVES = 2
REGULARISATION = 10.0  # inverse strength in scikit-learn's terms, on length-normalised vectors; our choice
RIDGE = 100.0  # penalty of the quick probe, on vectors with components of about 1; our choice
HIDDEN_UNITS, WEIGHT_PENALTY = 64, 1e-2  # of the perceptron: one small layer; our choice
ITERATIONS = 500  # at most
PAIRED_UTTERANCES = 2000  # of a half at most, since their pairs are compared


class Probed(NamedTuple):
    """A share of right answers and that of answering without looking; both None where there is no probe."""

    accuracy: float | None
    chance: float | None


UNKNOWN = Probed(None, None)


def language_probe(
    embeddings: np.ndarray,
    language: np.ndarray,
    speaker: np.ndarray,
    seed: int,
    kind: Literal["linear", "mlp", "quick"] = "linear",
) -> Probed:
    """Accuracy of a language classifier on new speakers.

    Linear: multinomial logistic regression; mlp: a perceptron with one small hidden layer; quick: regression
    on the classes by least squares, a tenth of the time of linear. Chance is the share of the commonest
    language.

    Args:
        embeddings: (n, D).
        language, speaker: (n,) labels.

    Returns:
        Nones where there is one language, or not more in either half.
    """
    vectors = scaled(embeddings)
    fold = folds(speaker, HALVES, seed)
    right = np.zeros(len(language), dtype=bool)
    for test in range(HALVES):
        train_rows, test_rows = fold != test, fold == test
        if len(np.unique(language[train_rows])) < 2 or not test_rows.any():
            return UNKNOWN
        classifier = _CLASSIFIERS[kind](embeddings.shape[1], seed)
        # The last bits of a sum depend on the threads that share it; where to stop is chosen here.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            classifier.fit(vectors[train_rows], language[train_rows])
            right[test_rows] = classifier.predict(vectors[test_rows]) == language[test_rows]
    _, counts = np.unique(language, return_counts=True)
    return Probed(float(right.mean()), float(counts.max() / counts.sum()))


def speaker_probe(embeddings: np.ndarray, language: np.ndarray, speaker: np.ndarray, seed: int) -> Probed:
    """How well new speakers are told apart by directions that tell others apart; chance is one half.

    A classifier of named speakers cannot be tested on others. So each half's linear discriminants
    are learnt, and pairs of the other half's utterances are compared by their cosine along them:
    same speaker or not, both in one language, lest the language give the answer. The accuracy is
    one minus the EER.

    Returns:
        Nones where a half has fewer than two speakers, or no such pair of either kind.
    """
    vectors = scaled(embeddings)
    fold = folds(speaker, HALVES, seed)
    generator = np.random.default_rng(seed)
    classes: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for test in range(HALVES):
        train_rows, test_rows = np.flatnonzero(fold != test), np.flatnonzero(fold == test)
        if len(np.unique(speaker[train_rows])) < 2 or len(train_rows) == len(np.unique(speaker[train_rows])):
            return UNKNOWN
        with threadpool_limits(1):
            discriminants = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
            discriminants.fit(vectors[train_rows], speaker[train_rows])
            kept = np.sort(generator.permutation(test_rows)[:PAIRED_UTTERANCES])
            seen = length_normalised(discriminants.transform(vectors[kept]))
            cosine = seen @ seen.T
        pairs = np.triu(language[kept, None] == language[kept], k=1)
        same = speaker[kept, None] == speaker[kept]
        classes[0].append(cosine[pairs & same])
        classes[1].append(cosine[pairs & ~same])
    targets, nontargets = (np.concatenate(scores) for scores in classes)
    if not len(targets) or not len(nontargets):
        return UNKNOWN
    return Probed(1 - eer(targets, nontargets), 0.5)


def trained_language_probe(
    embeddings: np.ndarray,
    utterance_ids: list[str],
    manifest: pd.DataFrame,
    seed: int,
    kind: Literal["linear", "mlp", "quick"] = "linear",
) -> Probed:
    """`language_probe` of utterances in languages of training."""
    rows, language, speaker = _trained(utterance_ids, manifest)
    return language_probe(embeddings[rows], language, speaker, seed, kind)


def disentanglement(
    embeddings: dict[str, np.ndarray],
    utterance_ids: list[str],
    manifest: pd.DataFrame,
    seed: int,
    known: dict[str, Probed],
) -> dict[str, dict[str, Any]]:
    """Probes and shares of variance of each kind of embedding, on utterances in languages of training.

    Args:
        embeddings: (n, D) each, rows as `utterance_ids`; such as {"speaker": …, "language": …}.
        known: `trained_language_probe` of those kinds for which it was computed before.

    Returns:
        for each kind language_linear, language_mlp and speaker (accuracy and chance), and variance
        (see `variance_shares`).
    """
    rows, language, speaker = _trained(utterance_ids, manifest)
    found: dict[str, dict[str, Any]] = {}
    for name, vectors in embeddings.items():
        labels = (vectors[rows], language, speaker, seed)
        probes = {
            "language_linear": known.get(name) or language_probe(*labels),
            "language_mlp": language_probe(*labels, kind="mlp"),
            "speaker": speaker_probe(*labels),
        }
        found[name] = {probe: result._asdict() for probe, result in probes.items()}
        found[name]["variance"] = variance_shares(vectors[rows], language, speaker)
    return found


def _trained(utterance_ids: list[str], manifest: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the utterances in languages of training, their languages and their speakers."""
    about = manifest.set_index("utterance_id").loc[utterance_ids]
    rows = about["language"].isin(trained_languages(manifest)).to_numpy()
    language, speaker = (about[column].to_numpy(dtype=str)[rows] for column in ("language", "speaker"))
    return rows, language, speaker


def variance_shares(
    embeddings: np.ndarray, language: np.ndarray, speaker: np.ndarray
) -> dict[str, float | None]:
    """Shares of the variance of length-normalised embeddings that go with a label.

    `language` and `speaker`: each alone; `language_within_speaker`: what changes when a speaker
    changes language, beyond chance, as a share of the whole. Each is ε² (Kelley, 1935), the sum of
    squares between groups less what groups drawn at random would have:
    (SS_between − df_between · SS_within / df_within) / SS_total; about 0 for no effect, at times below.

    Args:
        embeddings: (n, D).
        language, speaker: (n,) labels.

    Returns:
        None for a share whose groups have one member each, or are one and the same.
    """
    unit = length_normalised(embeddings.astype(np.float64))
    unit = unit - unit.mean(axis=0)
    total = float((unit**2).sum())
    _, languages = np.unique(language, return_inverse=True)
    _, speakers = np.unique(speaker, return_inverse=True)
    _, cells = np.unique(speakers * (languages.max() + 1) + languages, return_inverse=True)
    whole = np.zeros(len(unit), dtype=np.int64)
    pairs = {
        "language": (whole, languages),
        "speaker": (whole, speakers),
        "language_within_speaker": (speakers, cells),
    }
    return {name: _share(unit, total, coarse, fine) for name, (coarse, fine) in pairs.items()}


def _share(unit: np.ndarray, total: float, coarse: np.ndarray, fine: np.ndarray) -> float | None:
    """ε² of the finer groups inside the coarser ones."""
    between_freedom = int(fine.max() - coarse.max())
    within_freedom = len(unit) - int(fine.max()) - 1
    if not between_freedom or not within_freedom or not total:
        return None
    explained = _between(unit, fine) - _between(unit, coarse)
    within = total - _between(unit, fine)
    return (explained - between_freedom * within / within_freedom) / total


def _between(unit: np.ndarray, group: np.ndarray) -> float:
    """Sum of squares of the groups' means, each as often as it has members."""
    count = np.bincount(group)
    sums = np.zeros((len(count), unit.shape[1]))
    np.add.at(sums, group, unit)
    return float(((sums**2).sum(axis=1) / count).sum())


def scaled(embeddings: np.ndarray) -> np.ndarray:
    """Length-normalised and, whatever the dimension, with components of about 1."""
    return np.asarray(length_normalised(embeddings) * np.sqrt(embeddings.shape[1]))


def folds(speaker: np.ndarray, count: int, seed: int) -> np.ndarray:
    """A number below `count` for each utterance, the same for all of a speaker; each about as often."""
    names, number = np.unique(speaker, return_inverse=True)
    return np.asarray((np.random.default_rng(seed).permutation(len(names)) % count)[number])


def linear_classifier(dimension: int, seed: int = 0) -> LogisticRegression:
    """Multinomial logistic regression on `scaled` vectors; it draws nothing, so no seed is needed."""
    return LogisticRegression(C=REGULARISATION / dimension, max_iter=ITERATIONS)


_CLASSIFIERS: dict[str, Callable[[int, int], ClassifierMixin]] = {
    "linear": linear_classifier,
    "mlp": lambda _, seed: MLPClassifier(
        HIDDEN_UNITS, alpha=WEIGHT_PENALTY, max_iter=ITERATIONS, random_state=seed
    ),
    "quick": lambda *_: RidgeClassifier(RIDGE),
}
