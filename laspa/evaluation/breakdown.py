"""A trial list by its parts (condition, language pair, gender, seen languages), each measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laspa.errors import LaspaError
from laspa.evaluation.calibration import Calibration
from laspa.evaluation.detection import act_dcf, cllr, eer_convex_hull, frr_at_far, min_cllr
from laspa.evaluation.error_rates import eer, min_dcf
from laspa.evaluation.intervals import eer_intervals, min_dcf_intervals
from laspa.trials.lists import TrialList, read_language_labels, read_models, read_parquet

GROUPINGS = ("condition", "language-pair", "gender", "seen")
PRIORS = {"01": 0.01, "05": 0.05}
FALSE_ALARMS = {"1": 0.01, "01": 0.001}  # 1 % and 0.1 %


@dataclass(frozen=True)
class About:
    """What is known of each name of a trial list; None where nothing is."""

    speaker: np.ndarray | None = None
    language: np.ndarray | None = None
    gender: np.ndarray | None = None
    trained_languages: frozenset[str] | None = None


def about_names(
    trials: TrialList,
    manifest: Path | str | None,
    languages: Path | str | None,
    separator: str,
    models: Path | str | None = None,
) -> About:
    """Speakers, languages and genders of a list's names, from files or from the names themselves.

    Args:
        manifest: Parquet with columns utterance_id, speaker and, where known, language, gender, split.
        languages: CSV of `filename,label`; wins over the manifest's languages.
        separator: without a manifest, what stands before it in a name is the speaker.
        models: lines of `model utterance …`; a model is of the speaker, language and gender of its first
            utterance.

    Raises:
        LaspaError: a file lacks one of the names, or a speaker contradicts a trial's label.
    """
    known_as = trials.names
    if models is not None:
        first = {model: utterances[0] for model, utterances in read_models(models).items()}
        known_as = pa.array([first.get(name, name) for name in trials.names.to_pylist()], pa.string())
    columns: dict[str, np.ndarray] = {}
    trained = None
    if manifest is not None:
        table = read_parquet(manifest, ("utterance_id", "speaker"))
        known = table["utterance_id"].cast(pa.string()).combine_chunks()
        place = pc.index_in(known_as, value_set=known)
        _refuse_missing(trials, place, manifest)
        for name in ("speaker", "language", "gender"):
            if name in table.column_names:
                columns[name] = table[name].take(place).to_numpy()
        if {"split", "language"} <= set(table.column_names):
            trained = table.filter(pc.equal(table["split"], "train"))["language"]
    else:
        parts = pc.split_pattern(known_as, separator, max_splits=1)
        if pc.all(pc.equal(pc.list_value_length(parts), 2)).as_py():
            columns["speaker"] = pc.list_element(parts, 0).to_numpy(zero_copy_only=False)
    if languages is not None:
        labels = read_language_labels(languages)
        place = pc.index_in(known_as, value_set=pa.array(list(labels), pa.string()))
        _refuse_missing(trials, place, languages)
        columns["language"] = np.array([labels[name] for name in known_as.to_pylist()], dtype=object)
    about = About(
        **columns, trained_languages=frozenset(trained.to_pylist()) if trained is not None else None
    )
    if about.speaker is not None and trials.target is not None:
        _refuse_contradiction(trials, about.speaker, manifest is not None)
    return about


def _refuse_missing(trials: TrialList, place: pa.Array, path: Path | str) -> None:
    if place.null_count:
        row = trials.first_with(trials.names.filter(pc.is_null(place)))
        number = next(
            int(side[row]) for side in (trials.enroll, trials.test) if not place[int(side[row])].is_valid
        )
        raise LaspaError(
            f"{trials.place(row)}: {path} lacks {trials.names[number]}, and {place.null_count} utterance(s) "
            "of the list in all; expected a row for each, named alike"
        )


def _refuse_contradiction(trials: TrialList, speaker: np.ndarray, from_manifest: bool) -> None:
    _, code = np.unique(speaker.astype(str), return_inverse=True)
    wrong = (code[trials.enroll] == code[trials.test]) != trials.target
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        pair = f"{speaker[trials.enroll[row]]} and {speaker[trials.test[row]]}"
        remedy = "mend one of them" if from_manifest else "name speakers by --manifest or --speaker-separator"
        kind = "target" if trials.target is not None and trials.target[row] else "non-target"
        raise LaspaError(f"{trials.place(row)}: {trials.pair(row)} is a {kind} trial of {pair}; {remedy}")


def groups(kind: str, trials: TrialList, about: About) -> Iterator[tuple[str, np.ndarray]]:
    """(name, which trials) of each part of a list, by one of GROUPINGS.

    Raises:
        LaspaError: the list's languages or genders are not known.
    """
    if kind == "condition":
        yield from _conditions(trials, about)
    elif kind == "seen":
        unseen = trials.relations.get("unseen_language")
        if unseen is None:
            language = _known(about.language, kind, trials)
            if not about.trained_languages:
                raise LaspaError(f"--by seen: needs --manifest with training languages for {trials.path}")
            new = ~np.isin(language.astype(str), sorted(about.trained_languages))
            unseen = new[trials.enroll] | new[trials.test]
        yield "seen", ~unseen
        yield "unseen", unseen
    elif kind in ("language-pair", "gender"):
        values = _known(about.language if kind == "language-pair" else about.gender, kind, trials)
        names, code = np.unique(np.where(values == None, "?", values).astype(str), return_inverse=True)  # noqa: E711
        low = np.minimum(code[trials.enroll], code[trials.test]).astype(np.int64)
        pair = low * len(names) + np.maximum(code[trials.enroll], code[trials.test])
        for number in np.unique(pair):
            yield "-".join((names[number // len(names)], names[number % len(names)])), pair == number
    else:
        raise LaspaError(f"--by {kind}: expected one of {', '.join(GROUPINGS)}")


def _known(values: np.ndarray | None, kind: str, trials: TrialList) -> np.ndarray:
    if values is None:
        what = "genders" if kind == "gender" else "languages"
        raise LaspaError(f"--by {kind}: the {what} of {trials.path} are not known; name a --manifest")
    if kind != "gender" and (missing := sum(value is None for value in values)):
        raise LaspaError(f"--by {kind}: {missing} utterance(s) of {trials.path} have no language")
    return values


def _labelled(trials: TrialList) -> np.ndarray:
    if trials.target is None:
        raise LaspaError(f"{trials.path}: has no labels; expected target or non-target for each trial")
    return trials.target


def _conditions(trials: TrialList, about: About) -> Iterator[tuple[str, np.ndarray]]:
    """Target and non-target trials by whether their sides share a language: target first in the name."""
    same = trials.relations.get("same_language")
    if same is None:
        _, code = np.unique(_known(about.language, "condition", trials).astype(str), return_inverse=True)
        same = code[trials.enroll] == code[trials.test]
    target = _labelled(trials)
    words = {"cross": False, "same": True}
    for target_name, target_same in words.items():
        for nontarget_name, nontarget_same in words.items():
            wanted = np.where(target, same == target_same, same == nontarget_same)
            yield f"{target_name}_{nontarget_name}", wanted


def measure_parts(
    trials: TrialList,
    scores: np.ndarray,
    about: About,
    kinds: Sequence[str],
    calibration: Calibration | None,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, dict[str, Any] | None]]:
    """All rates of the whole list (`all`) and of its parts, by grouping; None for a part of one class.

    Args:
        kinds: of GROUPINGS.
        resamples: of the speakers for the intervals; 0 for none, as where speakers are not known.
    """
    target, numbers = _labelled(trials), speaker_numbers(trials, about)
    measured: dict[str, dict[str, dict[str, Any] | None]] = {}
    for kind in ("all", *kinds):
        parts = parts_of(kind, trials, about)
        both = {name: part for name, part in parts.items() if len(np.unique(target[part])) > 1}
        intervals: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in both}
        if numbers is not None and resamples:
            eers = eer_intervals(scores, target, *numbers, both, resamples, seed)
            costs = min_dcf_intervals(scores, target, *numbers, both, list(PRIORS.values()), resamples, seed)
            for name in both:
                found = zip((f"min_dcf_{prior}" for prior in PRIORS), costs[name], strict=True)
                intervals[name] = {"eer": eers[name], **dict(found)}
        measured[kind] = dict.fromkeys(parts)
        for name, part in both.items():
            measured[kind][name] = measure(scores[part], target[part], intervals[name], calibration)
    return measured


def parts_of(kind: str, trials: TrialList, about: About) -> dict[str, np.ndarray]:
    """Which trials belong to each part of a grouping; `all` is the grouping of one part."""
    return {"all": np.ones(len(trials), dtype=bool)} if kind == "all" else dict(groups(kind, trials, about))


def speaker_numbers(trials: TrialList, about: About) -> tuple[np.ndarray, np.ndarray] | None:
    """Numbers of the speakers on either side of each trial; None where nobody says who speaks."""
    if about.speaker is None:
        return None
    number = np.unique(about.speaker.astype(str), return_inverse=True)[1]
    return number[trials.enroll], number[trials.test]


def measure(
    scores: np.ndarray,
    target: np.ndarray,
    intervals: Mapping[str, tuple[float, float]],
    calibration: Calibration | None = None,
) -> dict[str, Any]:
    """All rates of one set of trials of both classes, as fractions.

    Args:
        scores: (trials,); target: (trials,) boolean.
        intervals: of some of the rates, by name.
        calibration: what makes scores likelihood ratios; without it they have no actDCF and Cllr.
    """
    classes = np.sort(scores[target]), np.sort(scores[~target])  # once for all that follows
    found: dict[str, Any] = {"eer": eer(*classes), "eer_convex_hull": eer_convex_hull(*classes)}
    found |= {f"min_dcf_{name}": min_dcf(*classes, prior) for name, prior in PRIORS.items()}
    found["min_cllr"] = min_cllr(*classes)
    found |= {f"frr_at_far_{name}": frr_at_far(*classes, far) for name, far in FALSE_ALARMS.items()}
    if calibration is not None:
        ratios = calibration(classes[0]), calibration(classes[1])
        found |= {f"act_dcf_{name}": act_dcf(*ratios, prior) for name, prior in PRIORS.items()}
        found["cllr"] = cllr(*ratios)
    for name, (low, high) in intervals.items():
        found |= {f"{name}_low": low, f"{name}_high": high}
    return {"trials": len(scores), "targets": int(target.sum())} | found
