"""Score files, this project's and other toolkits': read, matched with a trial list, written.

Text lines are `enroll test score` (SpeechBrain, Kaldi) or `enroll test score label` (WeSpeaker), a
header allowed; Parquet has columns enroll, test, score and, where labelled, target.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laspa.errors import LaspaError
from laspa.files import atomic_path
from laspa.trials.columns import (
    LABEL,
    NAME,
    NUMBER,
    first_fields,
    line_of_row,
    read_columns,
    shared_numbering,
)
from laspa.trials.lists import (
    RELATIONS,
    WRITTEN_AT_A_TIME,
    TrialList,
    check_duplicates,
    is_parquet,
    read_parquet,
    refuse_blanks,
    text_lines,
    trials_of_table,
)

EXPECTED = "`enroll test score` or `enroll test score label`"
LABELS = {"target": True, "nontarget": False, "1": True, "0": False}


def read_scores(path: Path | str, keep_duplicates: bool = False) -> tuple[TrialList, np.ndarray]:
    """The trials of a score file and their scores, (trials,) float64.

    Raises:
        LaspaError: the file is missing, empty or irregular; a score is not a finite number; a trial
            comes twice.
    """
    if is_parquet(path):
        table = read_parquet(path, ("enroll", "test", "score"))
        trials = trials_of_table(path, table)
        scores = table["score"].cast(pa.float64()).fill_null(np.nan).to_numpy()
    else:
        trials, scores = _read_text(path)
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores))[0])
        bad = int((~np.isfinite(scores)).sum())
        raise LaspaError(
            f"{trials.place(row)}: score {scores[row]} of {trials.pair(row)} is not a finite number ({bad} "
            "such score(s) in the file); expected one for every trial, such as 0.42"
        )
    check_duplicates(trials, keep_duplicates)
    return trials, scores


def _read_text(path: Path | str) -> tuple[TrialList, np.ndarray]:
    first = first_fields(path, EXPECTED)
    if len(first) not in (3, 4):
        raise LaspaError(f"{path}:{line_of_row(path, 0)}: expected {EXPECTED}, got {' '.join(first)!r}")
    header = first[2] == "score"
    labelled = len(first) == 4
    columns = {"enroll": NAME, "test": NAME, "score": NUMBER} | ({"label": LABEL} if labelled else {})
    expected = f"`{' '.join(columns)}` as in its first line"
    table = read_columns(path, columns, expected, _wrong_label, header)
    names, enroll, test = shared_numbering(table["enroll"].chunk(0), table["test"].chunk(0))
    target = None
    if labelled:
        label = table["label"].chunk(0)
        meaning = [LABELS.get(value) for value in label.dictionary.to_pylist()]
        code = label.indices.to_numpy()
        if None in meaning:
            row = int(np.flatnonzero(np.isin(code, [i for i, m in enumerate(meaning) if m is None]))[0])
            problem = _wrong_label(["", "", "", label[row].as_py()])
            raise LaspaError(f"{path}:{line_of_row(path, row, header)}: {problem}; expected {expected}")
        target = np.array(meaning, dtype=bool)[code]
    return TrialList(str(path), names, enroll, test, target, header=header), table["score"].to_numpy()


def _wrong_label(fields: list[str]) -> str:
    if len(fields) < 4 or fields[3] in LABELS:
        return ""
    return f"label {fields[3]!r} is none of {', '.join(LABELS)}"


def scores_of(trials: TrialList, scored: TrialList, scores: np.ndarray) -> np.ndarray:
    """The scores of a list's trials, in the list's order, from a score file in any order.

    Raises:
        LaspaError: a scored utterance or pair is not in the list, or a trial has no score.
    """
    place = pc.index_in(scored.names, value_set=trials.names)
    if place.null_count:
        row = scored.first_with(scored.names.filter(pc.is_null(place)))
        raise LaspaError(
            f"{scored.place(row)}: {scored.pair(row)} is no trial of {trials.path}: {place.null_count} "
            f"utterance(s) are not in it; expected names as in {trials.pair(0)}"
        )
    rows = place.to_numpy()
    number = len(trials.names)
    wanted = trials.enroll.astype(np.int64) * number + trials.test
    given = rows[scored.enroll].astype(np.int64) * number + rows[scored.test]
    if np.array_equal(wanted, given):
        return scores
    order = np.argsort(given, kind="stable")
    found = np.minimum(np.searchsorted(given[order], wanted), len(given) - 1)
    absent = given[order[found]] != wanted
    if absent.any():
        row = int(np.flatnonzero(absent)[0])
        raise LaspaError(
            f"{scored.path}: no score for {int(absent.sum())} of {len(trials)} trials, the first is "
            f"{trials.pair(row)} ({trials.place(row)})"
        )
    extra = ~np.isin(given, wanted)
    if extra.any():
        row = int(np.flatnonzero(extra)[0])
        raise LaspaError(f"{scored.path}: {scored.pair(row)} is scored but is no trial of {trials.path}")
    return scores[order[found]]


def write_scores(path: Path | str, trials: TrialList, scores: np.ndarray) -> None:
    """Write scores as Parquet or, for any other suffix, as lines of `enroll test score [label]`."""
    if not is_parquet(path):
        refuse_blanks(trials)
    words = pa.array(["nontarget", "target"])
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        writer = None
        for start in range(0, len(trials), WRITTEN_AT_A_TIME):
            rows = slice(start, start + WRITTEN_AT_A_TIME)
            sides = [
                pa.DictionaryArray.from_arrays(side[rows], trials.names)
                for side in (trials.enroll, trials.test)
            ]
            columns = dict(zip(("enroll", "test"), sides, strict=True)) | {"score": pa.array(scores[rows])}
            if is_parquet(path):
                if trials.target is not None:
                    columns["target"] = pa.array(trials.target[rows])
                columns |= {
                    name: pa.array(trials.relations[name][rows])
                    for name in RELATIONS
                    if name in trials.relations
                }
                table = pa.table(columns)
                writer = writer or pq.ParquetWriter(file, table.schema)
                writer.write_table(table)
            else:
                if trials.target is not None:
                    label = trials.target[rows].astype(np.int8)
                    columns["label"] = pa.DictionaryArray.from_arrays(label, words)
                file.write(text_lines(list(columns.values())))
        if writer is not None:
            writer.close()
