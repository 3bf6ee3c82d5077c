"""Scoring, error rates and parsing beside what else does the job, and a list of challenge size end to end.

Usage: python benchmarks/scoring.py [repetitions]

The systems of a part take turns and the best of each counts; only the ratios mean anything. numba
and polars are compared with where they are installed; the project does not need them.
"""

import functools
import importlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from memory import own_peak
from sklearn.metrics import roc_curve

from laspa.evaluation.error_rates import eer, min_dcf
from laspa.evaluation.score_files import read_scores, scores_of, write_scores
from laspa.evaluation.scores import cosine_scores, length_normalised
from laspa.trials.lists import TrialList, read_list, write_list

EMBEDDINGS, DIMENSION = 150_000, 192
TRIALS, LOOP_TRIALS = 1_000_000, 20_000  # the loop takes a share of the trials and is scaled up
SCORES, TARGET_SHARE = 10_000_000, 0.1
LINES = 800_000
CHALLENGE_UTTERANCES, CHALLENGE_TRIALS = 60_000, 12_000_000  # TidyVoice 2026, dev
PRIORS = (0.01, 0.05)
STRIDE = 1_000_003  # a prime, so that its multiples meet all pairs


def main() -> None:
    """Run all parts; the last in a process of its own, so that its peak memory is its own."""
    if sys.argv[1:] == ["challenge"]:
        challenge()
        return
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    torch.set_num_threads(1)
    score(repetitions)
    rates(repetitions)
    parse(repetitions)
    subprocess.run([sys.executable, __file__, "challenge"], check=True)


def optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"  {name} is not installed: left out")
        return None


def best_of(systems: dict[str, Callable[[], Any]], repetitions: int) -> dict[str, float]:
    """Least seconds of each, taking turns."""
    seconds: dict[str, float] = dict.fromkeys(systems, float("inf"))
    for _ in range(repetitions):
        for name, system in systems.items():
            start = time.perf_counter()
            system()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def show(seconds: dict[str, float], ours: str = "laspa") -> None:
    for name, taken in seconds.items():
        print(f"  {name:46} {taken:8.3f} s, {taken / seconds[ours]:7.2f} × laspa's")


def score(repetitions: int) -> None:
    """Cosines of random trials over embeddings that do not fit a processor's cache."""
    print(f"\n{TRIALS:,} cosines over {EMBEDDINGS:,} × {DIMENSION}, best of {repetitions}")
    generator = np.random.default_rng(0)
    embeddings = generator.standard_normal((EMBEDDINGS, DIMENSION), dtype=np.float32)
    enroll, test = generator.integers(EMBEDDINGS, size=(2, TRIALS), dtype=np.int32)
    vectors = torch.from_numpy(embeddings)

    def loop() -> list[float]:
        pairs = zip(enroll[:LOOP_TRIALS].tolist(), test[:LOOP_TRIALS].tolist(), strict=True)
        return [torch.cosine_similarity(vectors[a], vectors[b], dim=0).item() for a, b in pairs]

    expected = cosine_scores(embeddings, enroll, test)
    np.testing.assert_allclose(loop(), expected[:LOOP_TRIALS], atol=1e-5)
    systems = {"laspa": lambda: cosine_scores(embeddings, enroll, test), "loop": loop}
    if (numba := optional("numba")) is not None:

        @numba.njit(fastmath=True)
        def dot(unit: np.ndarray, enroll: np.ndarray, test: np.ndarray) -> np.ndarray:
            out = np.empty(len(enroll), np.float32)
            for row in range(len(enroll)):
                total = np.float32(0)
                for column in range(unit.shape[1]):
                    total += unit[enroll[row], column] * unit[test[row], column]
                out[row] = total
            return out

        unit = length_normalised(embeddings)
        np.testing.assert_allclose(dot(unit, enroll, test), expected, atol=1e-5)
        systems["numba: lengths, then fused gather-dot"] = lambda: dot(
            length_normalised(embeddings), enroll, test
        )
        systems["numba: fused gather-dot of unit vectors alone"] = lambda: dot(unit, enroll, test)
    seconds = best_of(systems, repetitions)
    seconds[f"torch loop, {LOOP_TRIALS:,} trials scaled up"] = seconds.pop("loop") * TRIALS / LOOP_TRIALS
    show(seconds)


def rates(repetitions: int) -> None:
    """EER and minDCF of scores in memory, in either precision."""
    for kind in (np.float32, np.float64):
        print(f"\nEER and minDCF at {PRIORS} of {SCORES:,} scores, {kind.__name__}, best of {repetitions}")
        generator = np.random.default_rng(0)
        label = generator.random(SCORES) < TARGET_SHARE
        scores = (generator.standard_normal(SCORES) + 2.0 * label).astype(kind)
        classes = scores[label], scores[~label]
        systems = {
            "laspa": functools.partial(rates_by_laspa, *classes),
            "numpy: one sort of all scores": functools.partial(np.sort, scores),
            "scikit-learn: roc_curve, then the rates": functools.partial(
                rates_by_scikit_learn, label, scores
            ),
        }
        results = [list(systems.values())[i]() for i in (0, 2)]
        np.testing.assert_allclose(*results, atol=1e-6)
        show(best_of(systems, repetitions))


def rates_by_laspa(target: np.ndarray, nontarget: np.ndarray) -> list[float]:
    target, nontarget = np.sort(target), np.sort(nontarget)
    return [eer(target, nontarget), *(min_dcf(target, nontarget, prior) for prior in PRIORS)]


def rates_by_scikit_learn(label: np.ndarray, scores: np.ndarray) -> list[float]:
    alarm, hit, _ = roc_curve(label, scores)
    miss = 1 - hit
    costs = [(prior * miss + (1 - prior) * alarm).min() / prior for prior in PRIORS]
    return [float(np.interp(0, alarm - miss, miss)), *map(float, costs)]


def names_of(number: int) -> pa.Array:
    return pa.array([f"id{i % 4000:05}/{i * 7919 % 10**7:07x}/{i % 97:05}.wav" for i in range(number)])


def some_list(utterances: int, trials: int) -> TrialList:
    """Pairs scattered over the utterances, none of them twice."""
    pair = np.arange(trials) * STRIDE % utterances**2
    enroll, test = (side.astype(np.int32) for side in np.divmod(pair, utterances))
    return TrialList("made up", names_of(utterances), enroll, test, pair % 10 == 0)


def parse(repetitions: int) -> None:
    """A VoxCeleb list from disk to row numbers and labels."""
    print(f"\n{LINES:,} lines of a trial list to row numbers, best of {repetitions}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "list.txt")
        write_list(path, some_list(EMBEDDINGS, LINES), "voxceleb")
        expected = read_list(path)

        def loop() -> tuple[list[int], list[int], list[bool]]:
            rows: dict[str, int] = {}
            enroll, test, target = [], [], []
            with open(path, encoding="utf-8") as file:
                for line in file:
                    label, one, other = line.split()
                    enroll.append(rows.setdefault(one, len(rows)))
                    test.append(rows.setdefault(other, len(rows)))
                    target.append(label == "1")
            return enroll, test, target

        assert loop()[2] == expected.target.tolist()
        systems = {
            "laspa (looks for duplicates too)": lambda: read_list(path),
            "Python loop": loop,
        }
        if (polars := optional("polars")) is not None:

            def by_polars() -> Any:
                columns = ["label", "enroll", "test"]
                table = polars.read_csv(path, separator=" ", has_header=False, new_columns=columns)
                sides = polars.concat([table["enroll"], table["test"]]).cast(polars.Categorical)
                return sides.to_physical().to_numpy(), (table["label"] == 1).to_numpy()

            np.testing.assert_array_equal(by_polars()[1], expected.target)
            systems["polars (does not)"] = by_polars
        show(best_of(systems, repetitions), "laspa (looks for duplicates too)")


def challenge() -> None:
    """Write a list, read it, score it, write the scores, read them back, match and measure them."""
    print(
        f"\n{CHALLENGE_TRIALS:,} trials over {CHALLENGE_UTTERANCES:,} utterances, end to end, once",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "list.txt")
        write_list(path, some_list(CHALLENGE_UTTERANCES, CHALLENGE_TRIALS), "voxceleb")
        generator = np.random.default_rng(1)
        embeddings = generator.standard_normal((CHALLENGE_UTTERANCES, DIMENSION), dtype=np.float32)
        whole, parts = time.perf_counter(), {}

        def timed(name: str, step: Callable[..., Any], *arguments: Any) -> Any:
            start = time.perf_counter()
            result = step(*arguments)
            parts[name] = time.perf_counter() - start
            return result

        trials = timed("read and check the list", read_list, path)
        timed("its SHA-256", trials.sha256)
        scores = timed("cosines", cosine_scores, embeddings, trials.enroll, trials.test)
        for suffix in ("txt", "parquet"):
            file = Path(folder, f"scores.{suffix}")
            timed(f"write scores, {suffix}", write_scores, file, trials, scores)
            scored, read = timed(f"read scores, {suffix}", read_scores, file)
            matched = timed(f"match with the list, {suffix}", scores_of, trials, scored, read)
            np.testing.assert_array_equal(matched.astype(np.float32), scores)
        assert trials.target is not None
        classes = timed("sort", lambda: [np.sort(scores[trials.target == flag]) for flag in (True, False)])
        timed("EER and minDCF", lambda: (eer(*classes), [min_dcf(*classes, prior) for prior in PRIORS]))
        whole = time.perf_counter() - whole
    for name, taken in parts.items():
        print(f"  {name:46} {taken:8.3f} s")
    print(f"  {'sum of the parts':46} {sum(parts.values()):8.3f} s")
    print(f"  {'end to end':46} {whole:8.3f} s, peak memory {own_peak():.2f} GiB")


if __name__ == "__main__":
    main()
