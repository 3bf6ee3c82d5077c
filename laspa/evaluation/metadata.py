"""What is known of the utterances of a trial list: speakers, languages, genders."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from laspa.errors import LaspaError
from laspa.evaluation.intervals import Sides
from laspa.manifest.tables import read_labels
from laspa.trials.lists import TrialList, read_language_labels, read_models, rows_of

COLUMNS = ("speaker", "language", "gender")


@dataclass(frozen=True)
class Metadata:
    """(names,) object arrays, a value for each name of a trial list; None where nothing is known."""

    speaker: np.ndarray | None = None
    language: np.ndarray | None = None
    gender: np.ndarray | None = None
    trained_languages: frozenset[str] | None = None
    contradiction: str = ""  # the trial whose label contradicts the speakers guessed from names

    def speakers(self, trials: TrialList) -> Sides | None:
        """Numbers of the speakers on both sides of each trial; None where speakers are not known."""
        if self.speaker is None:
            return None
        number = np.unique(self.speaker.astype(str), return_inverse=True)[1]
        return number[trials.enroll], number[trials.test]


def manifest_metadata(trials: TrialList, manifest: pd.DataFrame) -> Metadata:
    """From the manifest, whose utterance ids are the list's names.

    Raises:
        LaspaError: the manifest lacks a name.
    """
    columns = manifest[[name for name in ("utterance_id", *COLUMNS, "split") if name in manifest]]
    return _of_table(
        trials, trials.names, pa.Table.from_pandas(columns, preserve_index=False), "the manifest"
    )


def read_metadata(
    trials: TrialList,
    manifest: Path | str | None,
    languages: Path | str | None = None,
    separator: str = "/",
    models: Path | str | None = None,
) -> Metadata:
    """From files, or from the names themselves.

    Args:
        manifest: Parquet or CSV with columns utterance_id, speaker and, where known, language, gender, split.
        languages: CSV of `filename,label`; wins over the manifest's languages.
        separator: without a manifest, what stands before it in a name is the speaker.
        models: lines of `model utterance …`; a model has the speaker, language and gender of its first
            utterance.

    Speakers taken from names are a guess: where a trial's label contradicts it, they are not known.

    Raises:
        LaspaError: a file lacks one of the names, or the manifest's speakers contradict a trial's label.
    """
    names, found = trials.names, Metadata()
    if models is not None:
        first = {model: utterances[0] for model, utterances in read_models(models).items()}
        names = pa.array([first.get(name, name) for name in names.to_pylist()], pa.string())
    if manifest is not None:
        found = _of_table(trials, names, read_labels(manifest, ("utterance_id", "speaker")), manifest)
    else:
        parts = pc.split_pattern(names, separator, max_splits=1)
        if pc.all(pc.equal(pc.list_value_length(parts), 2)).as_py():
            found = Metadata(pc.list_element(parts, 0).to_numpy(zero_copy_only=False))
    if languages is not None:
        labels = read_language_labels(languages)
        _refuse_missing(trials, rows_of(names, list(labels)), languages)
        language = np.array([labels[name] for name in names.to_pylist()], dtype=object)
        found = replace(found, language=language)
    if found.speaker is not None and trials.target is not None:
        found = _without_contradiction(trials, found, manifest is not None)
    return found


def _of_table(trials: TrialList, names: pa.Array, table: pa.Table, source: Path | str) -> Metadata:
    rows = rows_of(names, table["utterance_id"].combine_chunks())
    _refuse_missing(trials, rows, source)
    columns = {
        name: table[name].take(pa.array(rows)).to_numpy() for name in COLUMNS if name in table.column_names
    }
    trained = None
    if {"split", "language"} <= set(table.column_names):
        trained = frozenset(table.filter(pc.equal(table["split"], "train"))["language"].to_pylist())
    return Metadata(**columns, trained_languages=trained)


def _refuse_missing(trials: TrialList, rows: np.ndarray, source: Path | str) -> None:
    if (missing := np.flatnonzero(rows < 0)).size:
        row = trials.first_with(missing)
        sides = int(trials.enroll[row]), int(trials.test[row])
        name = trials.names[next(side for side in sides if rows[side] < 0)]
        raise LaspaError(
            f"{trials.place(row)}: {source} lacks {name}, and {len(missing)} utterance(s) of the list in "
            "all; expected a row for each, named alike"
        )


def _without_contradiction(trials: TrialList, found: Metadata, from_manifest: bool) -> Metadata:
    speaker = np.asarray(found.speaker)
    code = np.unique(speaker.astype(str), return_inverse=True)[1]
    wrong = np.flatnonzero((code[trials.enroll] == code[trials.test]) != trials.target)
    if not wrong.size:
        return found
    row = int(wrong[0])
    pair = f"{speaker[trials.enroll[row]]!r} and {speaker[trials.test[row]]!r}"
    kind = "target" if trials.labels()[row] else "non-target"
    what = f"{trials.place(row)}: {trials.pair(row)} is a {kind} trial of {pair}"
    if from_manifest:
        raise LaspaError(f"{what}; mend one of them")
    return replace(found, speaker=None, contradiction=what)
