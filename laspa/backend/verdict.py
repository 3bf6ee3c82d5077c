"""What a backend changes, in figures with intervals over speakers, and whether it is worth using."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from laspa.backend.cross_validation import Validated
from laspa.backend.parts import Speech
from laspa.evaluation.comparison import Comparison, compare_parts
from laspa.evaluation.error_rates import eer
from laspa.evaluation.evaluate import with_both_classes
from laspa.evaluation.probes import Probed, language_probe
from laspa.trials.conditions import CONDITIONS

SHOWN = ("all", "cross_cross", "cross_same", "same_same")


@dataclass(frozen=True)
class Verdict:
    """EERs by condition before and after, and what follows.

    compared: by name of SHOWN, those with targets and non-targets. alarms: by language, the false-alarm rate
    within it at the threshold where both error rates over all trials are equal, before and after.
    probe: accuracy of a language classifier on new speakers, before and after. reason: why not, or empty.
    """

    compared: dict[str, Comparison]
    alarms: dict[str, tuple[float, float]]
    probe: tuple[Probed, Probed]
    reason: str

    @property
    def pays(self) -> bool:
        """Whether the gain is more than chance."""
        return not self.reason

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"pays": self.pays}


def judge(speech: Speech, validated: Validated, resamples: int, seed: int) -> Verdict:
    """Compare before and after on the same trials, resampled alike.

    The gain must exceed chance over all trials, since a constant added to the scores across languages can
    make any one condition better; and the loss within a language must not.
    """
    enroll, test = validated.enroll, validated.test
    target = speech.speakers[enroll] == speech.speakers[test]
    same = speech.languages[enroll] == speech.languages[test]
    masks = {name: CONDITIONS[name].mask(target, same) for name in SHOWN}
    number = np.unique(speech.speakers, return_inverse=True)[1]
    sides = number[enroll], number[test]
    compared = compare_parts(
        validated.before, validated.after, target, sides, with_both_classes(masks, target), resamples, seed
    )
    reason = ""
    within = compared.get("same_same")
    if not any(validated.chosen):
        reason = "no part lowers the error on the inner folds"
    elif compared["all"].high >= 0:
        low, high = (f"{100 * end:+.2f}" for end in (compared["all"].low, compared["all"].high))
        reason = (
            f"the interval of the change over all trials, {low} to {high} points, does not lie below zero"
        )
    elif within is not None and within.low > 0:
        reason = "errors within a language become more, beyond chance"
    probes = [
        language_probe(vectors, speech.languages, speech.speakers, seed)
        for vectors in (speech.vectors, validated.transformed)
    ]
    alarms = [
        _alarms(scores, target, same, speech.languages[enroll])
        for scores in (validated.before, validated.after)
    ]
    both = {name: (alarms[0][name], alarms[1][name]) for name in alarms[0]}
    return Verdict(compared, both, (probes[0], probes[1]), reason)


def _alarms(
    scores: np.ndarray, target: np.ndarray, same: np.ndarray, language: np.ndarray
) -> dict[str, float]:
    rate = eer(scores[target], scores[~target])
    threshold = np.quantile(scores[~target], 1 - rate)
    within = {name: ~target & same & (language == name) for name in np.unique(language).tolist()}
    return {name: float((scores[mask] > threshold).mean()) for name, mask in within.items() if mask.any()}


def lines(verdict: Verdict) -> list[str]:
    """The verdict as text."""
    shown = [f"{'trials':<14} {'before':>8} {'after':>8} {'change':>8}  95 % interval over speakers"]
    for name in SHOWN:
        label = CONDITIONS[name].label
        if name not in verdict.compared:
            shown.append(f"{label:<14} none: needs speakers of two languages and two languages")
            continue
        one = verdict.compared[name]
        rates = " ".join(f"{100 * rate:8.2f}" for rate in (one.first, one.second))
        shown.append(
            f"{label:<14} {rates} {100 * one.difference:+8.2f}  {100 * one.low:+.2f} to {100 * one.high:+.2f}"
        )
    for side, when in enumerate(("before", "after")):
        alarms = {name: both[side] for name, both in verdict.alarms.items()}
        highest, lowest = max(alarms.values()), min(alarms.values())
        ratio = f"{highest / lowest:.2f}" if lowest else "not known, as one is zero"
        each = ", ".join(f"{name} {100 * rate:.2f} %" for name, rate in alarms.items())
        probe = verdict.probe[side]
        told = "" if probe.accuracy is None else f"; language told by a probe {100 * probe.accuracy:.0f} %"
        shown.append(f"{when}: false alarms at one threshold {each}, worst over best {ratio}{told}")
    return shown
