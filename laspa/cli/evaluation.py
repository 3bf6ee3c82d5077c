"""What the commands of `laspa` do; their options are described in laspa/cli/main.py."""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laspa.corpora.disk import KNOWN_SUFFIX
from laspa.errors import LaspaError
from laspa.evaluation.as_norm import TOP, as_norm, refuse_overlap
from laspa.evaluation.calibration import Calibration, fit_calibration
from laspa.evaluation.comparison import compare_parts
from laspa.evaluation.error_rates import RATES
from laspa.evaluation.evaluate import list_info, measure, parts_of, with_both_classes
from laspa.evaluation.metadata import Metadata, read_metadata
from laspa.evaluation.score_files import read_embeddings, read_scores, scores_of, write_scores
from laspa.evaluation.scores import cosine_scores, length_normalised
from laspa.manifest.tables import read_labels
from laspa.trials.lists import TrialList, read_list, read_models, rows_of, write_list

PERCENT = 100


def metrics(options: argparse.Namespace) -> None:
    """Print the rates of a score file, of the whole list and of the parts asked for."""
    trials, scores = _scored(options.scores, options.trials, options)
    calibration = Calibration(1.0, 0.0) if options.llr else None
    if options.calibrate:
        calibration = _calibration(options, trials)
    metadata = _metadata(trials, options)
    groups = {"parts": _parts(trials, metadata, options.by)}
    rows = measure(trials, scores, metadata, groups, calibration, options.bootstrap, options.seed)["parts"]
    info = list_info(trials, Path(trials.path).name, metadata)
    if options.json:
        measured = {name: row for name, row in rows.items() if row}
        left_out = [name for name, row in rows.items() if not row]
        result = {"trial_list": info, "parts": measured, "omitted": left_out}
        if calibration is not None:
            result["calibration"] = asdict(calibration)
        if metadata.speaker is None:
            result["no_intervals"] = _why_no_speakers(metadata, options)
        print(json.dumps(result, indent=2))
        return
    print(
        f"{info['name']}: {info['trials']} trials, {info['speakers'] or 'unknown'} speakers, "
        f"sha256 {info['sha256']}"
    )
    if calibration is not None:
        print(f"log likelihood ratio = {calibration.slope:.6g} · score + {calibration.offset:.6g}")
    _print_table(rows)
    if metadata.speaker is None:
        print(f"no intervals: {_why_no_speakers(metadata, options)}")


def compare(options: argparse.Namespace) -> None:
    """Print the difference of two systems' EERs, its interval and p-value, of all trials and by part."""
    trials, first = _scored(options.first, options.trials, options)
    target = trials.labels()
    second = scores_of(trials, *read_scores(options.second, options.keep_duplicates))
    metadata = _metadata(trials, options)
    speakers = metadata.speakers(trials)
    if speakers is None or not options.bootstrap:
        why = "--bootstrap is 0" if speakers is not None else _why_no_speakers(metadata, options)
        raise LaspaError(f"compare resamples speakers, and there are none: {why}")
    parts = with_both_classes(_parts(trials, metadata, options.by), target)
    compared = compare_parts(first, second, target, speakers, parts, options.bootstrap, options.seed)
    info = list_info(trials, Path(trials.path).name, metadata)
    if options.json:
        result = {name: asdict(found) for name, found in compared.items()}
        print(json.dumps({"trial_list": info, "parts": result}, indent=2))
        return
    print(f"{info['name']}: {info['trials']} trials, {info['speakers']} speakers, sha256 {info['sha256']}")
    print(f"EER in %, its difference in points: first {options.first}, second {options.second}")
    width = max(map(len, [*compared, "trials of"]))
    print(f"{'trials of':<{width}} {'first':>8} {'second':>8} {'difference':>11}  95 % interval         p")
    for name, found in compared.items():
        print(f"{name:<{width}} {found.row(8)}")
    print(f"from {compared['all'].resamples} resamples of the speakers, the same for both")


def score(options: argparse.Namespace) -> None:
    """Write the cosines of a list's trials."""
    trials = read_list(options.trials, options.format, options.keep_duplicates)
    if options.backend is not None:
        from laspa.cli.backend import backend_scores

        if options.cohort is not None or options.models is not None:
            raise LaspaError("--backend: not with --cohort or --models")
        scores = backend_scores(options, trials)
    else:
        ids, vectors = read_embeddings(options.embeddings)
        rows = _enrolled(trials, ids, vectors, options.models)
        plain = options.cohort is None
        sides = trials.enroll, trials.test
        scores = cosine_scores(rows, *sides) if plain else _normalised(options, trials, rows)
    write_scores(options.output, trials, scores)
    print(f"{options.output}: {len(trials)} scores")


def trials(options: argparse.Namespace) -> None:
    """Write a trial list drawn from a manifest."""
    from laspa.params.data import Trials
    from laspa.trials.drawing import generate_trials
    from laspa.trials.splits import rows_of_split

    settings = Trials(seed=options.seed, same_gender=not options.any_gender, per_group=options.per_group)
    manifest = read_labels(options.manifest, ("utterance_id", "speaker", "language")).to_pandas()
    if gaps := int(manifest[["speaker", "language"]].isna().any(axis=1).sum()):
        raise LaspaError(f"{options.manifest}: {gaps} utterance(s) without speaker or language; fill them in")
    lacking = {"gender": None, "split": options.split}
    manifest = manifest.assign(**{name: value for name, value in lacking.items() if name not in manifest})
    if rows_of_split(manifest, options.split).empty:
        known = ", ".join(sorted(manifest["split"].unique()))
        raise LaspaError(f"{options.manifest}: no split {options.split!r}; it has {known}")
    drawn = generate_trials(manifest, options.split, settings)
    write_list(options.output, replace(drawn, path=options.manifest), options.format)
    print(f"{options.output}: {len(drawn)} trials, {int(drawn.labels().sum())} of them targets")


def _scored(path: str, list_path: str | None, options: argparse.Namespace) -> tuple[TrialList, np.ndarray]:
    """Labelled trials and their scores, from a score file and, where given, a list."""
    scored, scores = read_scores(path, options.keep_duplicates)
    trials = scored
    if list_path is not None:
        trials = read_list(list_path, options.format, options.keep_duplicates)
        scores = scores_of(trials, scored, scores)
    if trials.target is None:
        remedy = "name the list by --trials" if list_path is None else "expected a labelled list"
        raise LaspaError(f"{trials.path}: no labels; {remedy}")
    targets = int(trials.target.sum())
    if targets in (0, len(trials)):
        only = "target" if targets else "non-target"
        raise LaspaError(
            f"{trials.path}: all {len(trials)} trials are {only} trials; error rates need both kinds"
        )
    _warn_of_itself(trials)
    return trials, scores


def _warn_of_itself(trials: TrialList) -> None:
    """Tell of trials between a recording and itself, also as `./a.wav` and `a.wav` or `a.m4a`."""
    plain = pc.replace_substring_regex(trials.names, r"^(?:\./)+", "")
    plain = pc.replace_substring_regex(plain, r"/(?:\.?/)+", "/")
    plain = pc.replace_substring_regex(plain, f"(?i){KNOWN_SUFFIX.pattern}", "")
    number = plain.dictionary_encode().indices.to_numpy()
    same = np.flatnonzero(number[trials.enroll] == number[trials.test])
    if len(same):
        row = int(same[0])
        print(
            f"warning: {len(same)} of {len(trials)} trials are of a recording with itself, which makes error "
            f"rates too good: {trials.place(row)}: {trials.pair(row)}",
            file=sys.stderr,
        )


def _calibration(options: argparse.Namespace, measured: TrialList) -> Calibration:
    """Fitted on dev scores; refused where a dev utterance is one of those measured."""
    dev, scores = _scored(options.calibrate, options.calibrate_trials, options)
    both = pc.is_in(dev.names, value_set=measured.names)
    if pc.any(both).as_py():
        name = dev.names.filter(both)[0].as_py()
        raise LaspaError(
            f"{options.calibrate}: holds {name}, which {options.scores} holds too; a calibration is fitted "
            "on dev utterances, never on those it is measured on"
        )
    return fit_calibration(scores[dev.labels()], scores[~dev.labels()])


def _metadata(trials: TrialList, options: argparse.Namespace) -> Metadata:
    return read_metadata(
        trials, options.manifest, options.languages, options.speaker_separator, options.models
    )


def _why_no_speakers(metadata: Metadata, options: argparse.Namespace) -> str:
    remedy = "name the speakers by --manifest or --speaker-separator"
    if metadata.contradiction:
        return (
            f"what stands before {options.speaker_separator!r} is no speaker "
            f"({metadata.contradiction}); {remedy}"
        )
    return f"{options.speaker_separator!r} ends no speaker in the names; {remedy}"


def _parts(trials: TrialList, metadata: Metadata, by: list[str]) -> dict[str, np.ndarray]:
    """All trials, and the parts of the groupings that were asked for."""
    kinds = ("all", *dict.fromkeys(by))
    return {name: mask for kind in kinds for name, mask in parts_of(kind, trials, metadata).items()}


def _print_table(rows: dict[str, dict[str, Any] | None]) -> None:
    first = rows["all"]
    assert first is not None
    interval = "eer_low" in first
    measured = {name: rate for name, rate in RATES.items() if name in first and name != "eer"}
    shown = sorted(measured.items(), key=lambda one: (one[1].calibrated, not one[1].percent))
    columns = [rate.column + " %" * rate.percent for _, rate in shown]
    heads = ["EER %", *(["95 % interval"] if interval else []), *columns]
    width = max(map(len, [*rows, "trials of"]))
    print(f"{'trials of':<{width}} {'trials':>9} {'targets':>9} " + " ".join(f"{head:>14}" for head in heads))
    for name, row in rows.items():
        if row is None:
            print(f"{name:<{width}} left out: it has target or non-target trials only, or none")
            continue
        cells = [f"{row['eer'] * PERCENT:.3f}"]
        if interval:
            cells.append(f"{row['eer_low'] * PERCENT:.2f} to {row['eer_high'] * PERCENT:.2f}")
        cells += [
            f"{PERCENT * row[name]:.3f}" if rate.percent else f"{row[name]:.4f}" for name, rate in shown
        ]
        line = f"{name:<{width}} {row['trials']:>9} {row['targets']:>9} "
        print(line + " ".join(f"{cell:>14}" for cell in cells))


def _enrolled(trials: TrialList, ids: pa.Array, vectors: np.ndarray, models: str | None) -> np.ndarray:
    """(names, D): a vector for each name of the list; a model's is the mean of its utterances' directions."""
    place = rows_of(trials.names, ids)
    rows = vectors[np.maximum(place, 0)].astype(np.float32)
    members = read_models(models) if models else {}
    missing = []
    for number in np.flatnonzero(place < 0):
        utterances = rows_of(pa.array(members.get(trials.names[int(number)].as_py(), []), pa.string()), ids)
        if len(utterances) and (utterances >= 0).all():
            rows[number] = length_normalised(vectors[utterances]).mean(axis=0)
        else:
            missing.append(int(number))
    if missing:
        where = trials.place(trials.first_with(np.array(missing)))
        name = trials.names[missing[0]].as_py()
        what = f"utterance(s) or models without an embedding, {name} among them"
        raise LaspaError(f"{where}: the list has {len(missing)} {what}; it belongs to other embeddings")
    return rows


def _normalised(options: argparse.Namespace, trials: TrialList, rows: np.ndarray) -> np.ndarray:
    """AS-norm; the manifest proves that the cohort is training data and says who speaks."""
    if options.manifest is None:
        raise LaspaError("--cohort: needs --manifest, which says whose the cohort's utterances are")
    if options.models is not None:
        raise LaspaError(
            "--cohort: not with --models; the manifest says who speaks an utterance, not a model"
        )
    ids, cohort = read_embeddings(options.cohort)
    table = read_labels(options.manifest, ("utterance_id", "speaker", "split"))
    place = rows_of(ids, table["utterance_id"].combine_chunks())
    if (missing := np.flatnonzero(place < 0)).size:
        name = ids[int(missing[0])].as_py()
        raise LaspaError(
            f"{options.cohort}: {name} is not in {options.manifest}; whose voice it is is unknown"
        )
    split = table["split"].take(pa.array(place)).to_pylist()
    cohort_speakers = table["speaker"].take(pa.array(place)).to_numpy().astype(str)
    speakers = np.asarray(read_metadata(trials, options.manifest).speaker).astype(str)
    refuse_overlap(set(cohort_speakers.tolist()), set(speakers.tolist()))
    if others := [name for name, part in zip(ids.to_pylist(), split, strict=True) if part != "train"]:
        raise LaspaError(
            f"{options.cohort}: {len(others)} of {len(ids)} utterances are not of the split train, "
            f"{others[0]} among them; a cohort comes from training data only"
        )
    sides = trials.enroll, trials.test
    return as_norm(rows, speakers, *sides, cohort, cohort_speakers, options.cohort_top or TOP)
