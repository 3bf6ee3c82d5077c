"""Score files, this project's and other toolkits': read, matched with a trial list, written.

Text lines are `enroll test score` (Kaldi), `enroll test score label` (WeSpeaker) or `enroll test label score`
(SpeechBrain), a header allowed; Parquet has columns enroll, test, score and, where labelled, target.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laspa.errors import LaspaError
from laspa.files import atomic_path
from laspa.manifest.tables import read_parquet
from laspa.text import lines
from laspa.trials.columns import first_fields, line_of_row
from laspa.trials.lists import (
    TrialList,
    blocks,
    check_duplicates,
    is_parquet,
    read_trials_text,
    refuse_blanks,
    rows_of,
    text_lines,
    trials_of_table,
    write_table,
)

EXPECTED = "`enroll test score`, `enroll test score label` or `enroll test label score`"
LABELS = {"target": True, "nontarget": False, "1": True, "0": False}
LAYOUTS = (
    ("enroll", "test", "score"),
    ("enroll", "test", "score", "label"),
    ("enroll", "test", "label", "score"),
)
# Of other toolkits; named in an error, since a name may be a number too.
SCORE_FIRST = (
    ("score", "enroll", "test"),
    ("score", "label", "enroll", "test"),
    ("label", "score", "enroll", "test"),
)
LOOKED_AT = 1_000  # lines, to tell the order of the fields

MODEL_KEY = b"laspa.model"  # of an embeddings file's metadata: digest of the model that made them


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
        columns, header = _layout(path)
        expected = f"`{' '.join(columns)}` as in its first line"
        trials, table = read_trials_text(path, columns, LABELS, expected, header=header)
        scores = table["score"].to_numpy()
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores))[0])
        bad = int((~np.isfinite(scores)).sum())
        raise LaspaError(
            f"{trials.place(row)}: score {scores[row]} of {trials.pair(row)} is not a finite number ({bad} "
            "such score(s) in the file); expected one for every trial, such as 0.42"
        )
    check_duplicates(trials, keep_duplicates)
    return trials, scores


def _layout(path: Path | str) -> tuple[tuple[str, ...], bool]:
    """The order of a score file's fields, and whether its first line holds names.

    Raises:
        LaspaError: another number of fields, a score that stands first, or `0 1`, which may be either order.
    """
    first = tuple(first_fields(path, EXPECTED))
    names = tuple(name.lower() for name in first)
    if names in LAYOUTS:
        return names, True
    header = len(first) > 2 and names[2] == "score"
    found = [fields for _, fields in islice(lines(path), header, LOOKED_AT)]
    fits = [layout for layout in LAYOUTS if all(_fits(layout, fields) for fields in found)]
    place = f"{path}:{line_of_row(path, 0)}"
    if len(fits) > 1:
        raise LaspaError(
            f"{place}: the third and fourth field are 0 or 1 in all of the first {len(found)} lines, so that "
            "either may be the label; write a first line with the names "
            f"{' '.join(fits[0])} or {' '.join(fits[1])}"
        )
    if fits:
        return fits[0], header
    if any(_fits(layout, first) for layout in SCORE_FIRST):
        raise LaspaError(
            f"{place}: the score stands before the names; expected {EXPECTED}: put it behind them"
        )
    # The first line's order, so that the line that breaks it is named.
    likely = [layout for layout in LAYOUTS if _fits(layout, first)] or [
        layout for layout in LAYOUTS if len(layout) == len(first)
    ]
    if not likely:
        raise LaspaError(f"{place}: expected {EXPECTED}, got {' '.join(first)!r}")
    return likely[0], header


def _fits(layout: tuple[str, ...], fields: Sequence[str]) -> bool:
    if len(fields) != len(layout):
        return False
    of = dict(zip(layout, fields, strict=True))
    try:
        float(of["score"])
    except ValueError:
        return False
    return of.get("label", "1") in LABELS


def scores_of(trials: TrialList, scored: TrialList, scores: np.ndarray) -> np.ndarray:
    """The scores of a list's trials, in the list's order, from a score file in any order.

    Raises:
        LaspaError: a scored utterance or pair is not in the list, or a trial has no score.
    """
    rows = rows_of(scored.names, trials.names)
    missing = np.flatnonzero(rows < 0)
    if len(missing):
        row = scored.first_with(missing)
        raise LaspaError(
            f"{scored.place(row)}: {scored.pair(row)} is no trial of {trials.path}: {len(missing)} "
            f"utterance(s) are not in it; expected names as in {trials.pair(0)}"
        )
    number = len(trials.names)
    wanted = trials.enroll.astype(np.int64) * number + trials.test
    given = rows[scored.enroll] * number + rows[scored.test]
    if np.array_equal(wanted, given):
        return scores
    order = np.argsort(given, kind="stable")
    found = np.minimum(np.searchsorted(given[order], wanted), len(given) - 1)
    absent = given[order[found]] != wanted
    if absent.any():
        row = int(np.flatnonzero(absent)[0])
        raise LaspaError(
            f"{scored.path}: no score for {int(absent.sum())} of {len(trials)} trials, the first is "
            f"{trials.pair(row)} ({trials.place(row)}); score all of the list"
        )
    extra = ~np.isin(given, wanted)
    if extra.any():
        row = int(np.flatnonzero(extra)[0])
        raise LaspaError(
            f"{scored.path}: {scored.pair(row)} is scored but is no trial of {trials.path}; name the list "
            "that was scored"
        )
    return scores[order[found]]


def write_scores(path: Path | str, trials: TrialList, scores: np.ndarray) -> None:
    """Write scores as Parquet or, for any other suffix, as lines of `enroll test score [label]`."""
    if is_parquet(path):
        write_table(path, trials, scores)
        return
    refuse_blanks(trials)
    words = pa.array(["nontarget", "target"])
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for rows in blocks(trials):
            columns = [
                pa.DictionaryArray.from_arrays(side[rows], trials.names)
                for side in (trials.enroll, trials.test)
            ]
            columns.append(pa.array(scores[rows]))
            if trials.target is not None:
                columns.append(pa.DictionaryArray.from_arrays(trials.target[rows].astype(np.int8), words))
            file.write(text_lines(columns))


def embeddings_table(
    utterance_ids: list[str], vectors: np.ndarray, metadata: dict[bytes, str] | None = None
) -> pa.Table:
    """Vectors (n, D) as a table that `read_embeddings` reads, with metadata of the file."""
    values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float32()), vectors.shape[1])
    columns = {"utterance_id": pa.array(utterance_ids, pa.string()), "vector": values}
    return pa.table(columns).replace_schema_metadata(metadata)


def read_embeddings(path: str) -> tuple[pa.Array, np.ndarray]:
    """Utterance ids and vectors (n, D) of a Parquet file with the columns utterance_id and vector.

    Raises:
        LaspaError: no vectors, some of several lengths, zero or not finite, or an utterance twice.
    """
    table = read_parquet(path, ("utterance_id", "vector"))
    ids, column = table["utterance_id"].cast(pa.string()).combine_chunks(), table["vector"].chunk(0)
    kind = column.type
    if not hasattr(kind, "value_type") or not pa.types.is_floating(kind.value_type):
        raise LaspaError(f"{path}: its column vector is {kind}; expected lists of floating-point numbers")
    lengths = pc.unique(pc.list_value_length(column))
    if len(lengths) != 1 or column.null_count:
        raise LaspaError(f"{path}: vectors of {len(lengths)} lengths; expected one length for all")
    if len(pc.unique(ids)) != len(ids):
        raise LaspaError(
            f"{path}: {len(ids) - len(pc.unique(ids))} utterance(s) stand there twice; leave one"
        )
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(ids), -1)
    if not np.isfinite(vectors).all():
        bad = ids[int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])]
        raise LaspaError(f"{path}: the vector of {bad} has values that are not finite; leave it out")
    if len(zero := np.flatnonzero(~vectors.any(axis=1))):
        raise LaspaError(f"{path}: the vector of {ids[int(zero[0])]} is zero, has no direction; leave it out")
    return ids, vectors
