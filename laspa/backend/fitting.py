"""From embeddings to a backend: cross-validated, judged, and fitted only where it pays."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from laspa.backend.choice import LEAST_INNER, Choice, candidates, choose
from laspa.backend.cross_validation import Validated, cross_validate
from laspa.backend.parts import PARTS, Speech, unavailable
from laspa.backend.recording import usual_nearness
from laspa.backend.saving import Backend
from laspa.backend.verdict import Verdict, judge
from laspa.errors import LaspaError
from laspa.evaluation.calibration import fit_calibration, thresholds

MOST_UTTERANCES = 2000  # whose pairs are compared in cross-validation; our choice, two million trials


def fit_backend(
    speech: Speech,
    utterances: list[str],
    model: str,
    parts: tuple[str, ...] = tuple(PARTS),
    by_posterior: bool = False,
    resamples: int = 1000,
    seed: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Backend, Verdict]:
    """A backend that is worth using, or one that changes nothing and says why.

    Args:
        utterances: names of the rows. model: digest of the recogniser.
        parts: that may be chosen. by_posterior: cross-validate with languages told by the classifier.
        say: takes lines about what could be learnt.

    Raises:
        LaspaError: embeddings that are not finite, an unknown part, or too few speakers.
    """
    if unknown := [part for part in parts if part not in PARTS]:
        raise LaspaError(f"--parts: no part {unknown[0]}; there are {', '.join(PARTS)}")
    if bad := np.flatnonzero(~np.isfinite(speech.vectors).all(axis=1)).tolist():
        raise LaspaError(
            f"embeddings: {len(bad)} vector(s) hold NaN or infinity, {utterances[bad[0]]} among them; leave "
            "them out"
        )
    for line in learnable(speech):
        say(line)
    combinations = candidates(part for part in parts if part not in unavailable(speech))
    kept = _at_most(speech, MOST_UTTERANCES, seed)
    validated = cross_validate(kept, combinations, seed, by_posterior)
    verdict = judge(kept, validated, resamples, seed)
    choice = choose(kept, combinations, seed, by_posterior) if verdict.pays else Choice(())
    return Backend(
        fitted=choice.fit(speech, LEAST_INNER, classify=True),
        model=model,
        speakers=np.unique(speech.speakers).tolist(),
        utterances=sorted(utterances),
        decision=_decision(kept, validated, choice if verdict.pays else None),
        nearness=usual_nearness(speech),
        reason=verdict.reason,
    ), verdict


def learnable(speech: Speech) -> list[str]:
    """Who is there, and what can be learnt of them."""
    pairs = np.unique(np.array([speech.languages, speech.speakers]), axis=1)
    languages, counts = np.unique(pairs[0], return_counts=True)
    several = int((np.unique(pairs[1], return_counts=True)[1] > 1).sum())
    each = ", ".join(f"{count} of {name}" for name, count in zip(languages, counts, strict=True))
    reasons = unavailable(speech)
    shown = [f"{len(np.unique(speech.speakers))} speakers: {each}; {several} of more than one language"]
    return shown + [
        f"  {what}: " + (f"cannot be learnt ({reasons[part]})" if part in reasons else "can be learnt")
        for part, what in PARTS.items()
    ]


def _at_most(speech: Speech, most: int, seed: int) -> Speech:
    """As many utterances of each speaker and language as keep the whole below `most`."""
    cells = np.unique(np.array([speech.languages, speech.speakers]), axis=1, return_inverse=True)[1].ravel()
    order = np.random.default_rng(seed).permutation(len(cells))
    rank = np.empty(len(cells), dtype=np.int64)  # of an utterance among those of its cell
    for cell in range(cells.max() + 1):
        mine = order[cells[order] == cell]
        rank[mine] = np.arange(len(mine))
    limits = range(int(rank.max()) + 1, 2, -1)
    limit = next((one for one in limits if (rank < one).sum() <= most), 2)
    return speech.take(np.flatnonzero(rank < limit))


def _decision(speech: Speech, validated: Validated, choice: Choice | None) -> dict[str, Any] | None:
    """Calibration and thresholds of the final backend's scores; None where the classes do not overlap.

    Args:
        choice: its parts; None where it changes nothing, and scores are cosines.
    """
    target = speech.speakers[validated.enroll] == speech.speakers[validated.test]
    scores = validated.before
    if choice is not None:
        alike = set(validated.chosen) == {choice.parts}
        scores = validated.after if alike else choice.mean + choice.spread * validated.standard
    classes = scores[target], scores[~target]
    try:
        calibration = fit_calibration(*classes)
    except LaspaError:
        return None
    return asdict(calibration) | {"thresholds": thresholds(*classes)}
