"""Trial lists in the field's formats: VoxCeleb, VoxSRC, VoxCeleb1-B, TidyVoice, Kaldi, CN-Celeb, Parquet.

| format | line | lists |
|---|---|---|
| `voxceleb` | `1 enroll test` | VoxCeleb1-O, E, H, VoxSRC2021 val, VoxCeleb1-B, TidyVoice dev |
| `kaldi` | `enroll test target` | Kaldi, WeSpeaker |
| `cnceleb` | `model test 1` | CN-Celeb, with the utterances of each model in a second file |
| `unlabelled` | `enroll test` | lists of running evaluations |
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laspa.errors import LaspaError
from laspa.files import atomic_path
from laspa.manifest.tables import read_parquet
from laspa.text import composed, lines, read_table, refuse_unfit
from laspa.trials.columns import (
    LABEL,
    NAME,
    NUMBER,
    composed_names,
    first_fields,
    line_of_row,
    read_columns,
    shared_numbering,
)
from laspa.trials.splits import OTHER

FORMATS: dict[str, tuple[str, ...]] = {
    "voxceleb": ("label", "enroll", "test"),
    "kaldi": ("enroll", "test", "label"),
    "cnceleb": ("enroll", "test", "label"),
    "unlabelled": ("enroll", "test"),
}
LABELS = {
    "voxceleb": {"1": True, "0": False},
    "kaldi": {"target": True, "nontarget": False},
    "cnceleb": {"1": True, "0": False},
    "unlabelled": {},
}
EXPECTED = "a trial: `1|0 enroll test`, `enroll test target|nontarget`, `model test 1|0` or `enroll test`"
RELATIONS = ("same_language", "same_gender", "unseen_language")  # kept from this project's own tables
SHA256_KEY = b"laspa.sha256"  # of a publisher's list, in a table's metadata
WRITTEN_AT_A_TIME = 1_000_000  # trials, to bound memory


@dataclass(frozen=True)
class TrialList:
    """Trials as row numbers into `names`.

    enroll, test: (trials,) int32; target: (trials,) bool, None where the list has no labels.
    relations: columns of RELATIONS that the list itself has: bool, or None where genders are not known.
    header: whether the first line of its file holds names.
    published_sha256: digest of a publisher's list, in its own names.
    """

    path: str
    names: pa.Array
    enroll: np.ndarray
    test: np.ndarray
    target: np.ndarray | None
    relations: dict[str, np.ndarray] = field(default_factory=dict)
    header: bool = False
    published_sha256: str = ""

    def __len__(self) -> int:
        return len(self.enroll)

    def place(self, row: int) -> str:
        """Where a trial stands, for messages: `file:line`, or `file: row` of a Parquet table."""
        if is_parquet(self.path):
            return f"{self.path}: row {row + 1}"
        return f"{self.path}:{line_of_row(self.path, row, self.header)}"

    def first_with(self, numbers: np.ndarray) -> int:
        """The first trial that has one of these row numbers of `names` on a side."""
        return int(np.flatnonzero(np.isin(self.enroll, numbers) | np.isin(self.test, numbers))[0])

    def pair(self, row: int) -> str:
        """The two names of a trial."""
        return f"{self.names[self.enroll[row]]} {self.names[self.test[row]]}"

    def labels(self) -> np.ndarray:
        """`target`.

        Raises:
            LaspaError: the list has no labels.
        """
        if self.target is None:
            raise LaspaError(f"{self.path}: has no labels; expected target or non-target for each trial")
        return self.target

    def sha256(self) -> str:
        """Of the lines `enroll test 1|0` (`enroll test` without labels), whatever the file's format."""
        if self.published_sha256:
            return self.published_sha256
        total = hashlib.sha256()
        for block in _text(self, "unlabelled" if self.target is None else "cnceleb"):
            total.update(block)
        return total.hexdigest()


def rows_of(names: pa.Array, known: pa.Array | Sequence[str]) -> np.ndarray:
    """The row of each name in `known`, (names,) int64; -1 where it is not there."""
    values = known if isinstance(known, pa.Array) else pa.array(known, pa.string())
    place = pc.index_in(composed_names(names), value_set=composed_names(values.cast(pa.string())))
    return np.asarray(place.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64))


def is_parquet(path: Path | str) -> bool:
    return Path(path).suffix == ".parquet"


def read_list(path: Path | str, form: str | None = None, keep_duplicates: bool = False) -> TrialList:
    """A trial list; its format is told from its first line unless `form` names it.

    Raises:
        LaspaError: the file is missing, empty or mixes formats, a label is none, a trial comes twice
            (an error even with `keep_duplicates` where its labels differ).
    """
    trials = (
        trials_of_table(path, read_parquet(path, ("enroll", "test")))
        if is_parquet(path)
        else _read_text(path, form)
    )
    check_duplicates(trials, keep_duplicates)
    return trials


def detect_format(path: Path | str) -> str:
    """The format that the first line of a list is written in."""
    fields = first_fields(path, EXPECTED)
    fits = [
        name
        for name, columns in FORMATS.items()
        if len(fields) == len(columns)
        and all(fields[i] in LABELS[name] for i, column in enumerate(columns) if column == "label")
    ]
    if len(fits) == 1:
        return fits[0]
    why = f"could be {' or '.join(fits)}, name the format" if fits else f"expected {EXPECTED}"
    raise LaspaError(f"{path}:{line_of_row(path, 0)}: {why}; got {' '.join(fields)!r}")


def _read_text(path: Path | str, form: str | None) -> TrialList:
    if form is not None and form not in FORMATS:
        raise LaspaError(f"format {form!r} is none of {', '.join(FORMATS)}")
    form = form or detect_format(path)
    columns = FORMATS[form]
    return read_trials_text(
        path, columns, LABELS[form], f"`{' '.join(columns)}` ({form})", " (mixed formats?)"
    )[0]


def read_trials_text(
    path: Path | str,
    columns: tuple[str, ...],
    labels: dict[str, bool],
    expected: str,
    hint: str = "",
    header: bool = False,
) -> tuple[TrialList, pa.Table]:
    """The trials of a text file and its table: fields enroll, test and perhaps label and score, in any order.

    Args:
        labels: the words for target and non-target; expected, hint: what a message says of a wrong line.

    Raises:
        LaspaError: names the first line that is not as expected.
    """
    where = columns.index("label") if "label" in columns else len(columns)

    def wrong_label(fields: list[str]) -> str:
        if len(fields) <= where or fields[where] in labels:
            return ""
        return f"label {fields[where]!r} is none of {', '.join(labels)}{hint}"

    kinds = {name: {"label": LABEL, "score": NUMBER}.get(name, NAME) for name in columns}
    table = read_columns(path, kinds, expected, wrong_label, header)
    names, enroll, test = shared_numbering(table["enroll"].chunk(0), table["test"].chunk(0))
    target = None
    if "label" in columns:
        label = table["label"].chunk(0)
        words, code = label.dictionary.to_pylist(), label.indices.to_numpy()
        if unknown := [number for number, word in enumerate(words) if word not in labels]:
            row = int(np.flatnonzero(np.isin(code, unknown))[0])
            problem = wrong_label([label[row].as_py()] * len(columns))
            raise LaspaError(f"{path}:{line_of_row(path, row, header)}: {problem}; expected {expected}")
        target = np.array([labels[word] for word in words], dtype=bool)[code]
    return TrialList(str(path), names, enroll, test, target, header=header), table


def trials_of_table(path: Path | str, table: pa.Table) -> TrialList:
    """The trials of a table with columns enroll, test and, where labelled, target.

    Whether genders are the same may be unknown (None); other flags with gaps are left out.

    Raises:
        LaspaError: a trial without a name.
    """
    for side in ("enroll", "test"):
        if count := table[side].null_count:
            raise LaspaError(f"{path}: {side} is empty in {count} trial(s); name an utterance in each")
    names, enroll, test = shared_numbering(table["enroll"].chunk(0), table["test"].chunk(0))
    there = [name for name in ("target", *RELATIONS) if name in table.column_names]
    flags = {
        name: table[name].to_numpy() for name in there if name == "same_gender" or not table[name].null_count
    }
    published = (table.schema.metadata or {}).get(SHA256_KEY, b"").decode(errors="replace")
    return TrialList(
        str(path), names, enroll, test, flags.pop("target", None), flags, published_sha256=published
    )


def read_trials(path: Path | str) -> TrialList:
    """A labelled list as the stage trials writes it.

    Raises:
        LaspaError: the file, or one of its columns, is missing.
    """
    if not Path(path).exists():
        raise LaspaError(f"{path}: no such file; run the stage trials (dvc repro trials)")
    return trials_of_table(path, read_parquet(path, ("enroll", "test", "target", *RELATIONS)))


def official_lists(folder: Path) -> dict[str, TrialList]:
    """The publishers' trial lists by name: the tables beside those that were drawn."""
    files = sorted(file for file in folder.glob("*.parquet") if file.stem not in ("dev", "test", OTHER))
    return {one.stem: trials_of_table(one, read_parquet(one, ("enroll", "test", "target"))) for one in files}


def write_table(path: Path | str, trials: TrialList, scores: np.ndarray | None = None) -> None:
    """Write the trials, and scores where there are any, as Parquet, in blocks to bound memory."""
    with atomic_path(path) as temporary:
        writer = None
        for rows in blocks(trials):
            columns = {
                "enroll": trials.names.take(trials.enroll[rows]),
                "test": trials.names.take(trials.test[rows]),
            }
            if trials.target is not None:
                columns["target"] = trials.target[rows]
            columns |= {
                name: pa.array(trials.relations[name][rows], pa.bool_())
                for name in RELATIONS
                if name in trials.relations
            }
            if scores is not None:
                columns["score"] = scores[rows]
            table = pa.table(columns)
            if trials.published_sha256:
                table = table.replace_schema_metadata({SHA256_KEY: trials.published_sha256})
            writer = writer or pq.ParquetWriter(temporary, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()


def blocks(trials: TrialList) -> Iterator[slice]:
    """Consecutive trials, as many as are written at a time."""
    starts = range(0, max(len(trials), 1), WRITTEN_AT_A_TIME)
    return (slice(start, start + WRITTEN_AT_A_TIME) for start in starts)


def check_duplicates(trials: TrialList, keep: bool) -> None:
    """Refuse a trial that stands in the list twice."""
    pair = pd.Series(trials.enroll.astype(np.int64) * len(trials.names) + trials.test)
    again = np.flatnonzero(pair.duplicated())
    if not len(again):
        return
    first = pd.Series(np.arange(len(pair))).groupby(pair).transform("first").to_numpy()[again]
    if trials.target is not None and (differs := trials.target[first] != trials.target[again]).any():
        one, other = first[differs][0], again[differs][0]
        raise LaspaError(
            f"{trials.place(other)}: {trials.pair(other)} has another label in {trials.place(one)}"
        )
    if not keep:
        raise LaspaError(
            f"{trials.place(again[0])}: {trials.pair(again[0])} stands in {trials.place(first[0])} too; "
            f"a trial comes once ({len(again)} come again; --keep-duplicates counts them all the same)"
        )


def write_list(path: Path | str, trials: TrialList, form: str = "voxceleb") -> None:
    """Write a list as Parquet or, for any other suffix, in one of FORMATS, whole or not at all."""
    if is_parquet(path):
        write_table(path, trials)
        return
    if LABELS[form] and trials.target is None:
        raise LaspaError(f"{path}: format {form} has labels, {trials.path} has none; write it as unlabelled")
    refuse_blanks(trials)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for block in _text(trials, form):
            file.write(block)


def _text(trials: TrialList, form: str) -> Iterator[pa.Buffer]:
    """The lines of a list in blocks, to bound memory."""
    labels = {value: text for text, value in LABELS[form].items()}
    rows = {"enroll": trials.enroll, "test": trials.test}
    words = dict.fromkeys(rows, trials.names)
    if labels and trials.target is not None:
        rows["label"] = trials.target.astype(np.int8)
        words["label"] = pa.array([labels[False], labels[True]])
    for block in blocks(trials):
        yield text_lines(
            [pa.DictionaryArray.from_arrays(rows[name][block], words[name]) for name in FORMATS[form]]
        )


def text_lines(columns: list[pa.Array]) -> pa.Buffer:
    """Columns, dictionaries where words come often, as lines of fields parted by a blank.

    Each word is given what follows it, a blank or the line's end: the words in order are then the text.
    """
    ends = [" "] * (len(columns) - 1) + ["\n"]
    words, rows, known = [], [], 0
    for column, end in zip(columns, ends, strict=True):
        if not pa.types.is_dictionary(column.type):
            column = pa.DictionaryArray.from_arrays(np.arange(len(column)), column.cast(pa.string()))
        words.append(pc.binary_join_element_wise(column.dictionary, end, "").cast(pa.large_string()))
        rows.append(column.indices.to_numpy().astype(np.int64) + known)
        known += len(column.dictionary)
    text = pa.concat_arrays(words).take(pa.array(np.stack(rows, axis=1).ravel()))
    _, offsets, characters = text.buffers()
    return characters[: np.frombuffer(offsets, dtype=np.int64)[len(text)]]


def refuse_blanks(trials: TrialList) -> None:
    """Names with blanks cannot stand in a text file whose fields blanks part."""
    bad = trials.names.filter(pc.match_substring_regex(trials.names, r"^$|[\s,]"))
    if len(bad):
        raise LaspaError(f"{trials.path}: utterance {bad[0].as_py()!r} holds a blank or comma; write Parquet")


def read_models(path: Path | str) -> dict[str, list[str]]:
    """The utterances that enrol each model: lines of `model utterance [utterance ...]` (CN-Celeb).

    Raises:
        LaspaError: a line without utterances, or a model described twice.
    """
    models: dict[str, list[str]] = {}
    for number, (model, *utterances) in lines(path):
        if not utterances:
            raise LaspaError(
                f"{path}:{number}: expected `model utterance [utterance ...]`, got {model!r} alone"
            )
        if model in models:
            raise LaspaError(f"{path}:{number}: model {model} is described twice")
        models[model] = utterances
    if not models:
        raise LaspaError(f"{path}: empty; expected lines of `model utterance [utterance ...]`")
    return models


def read_language_labels(path: Path | str) -> dict[str, str]:
    """Utterance → language from a CSV with columns filename and label (`vox1_lang_label.csv`).

    Raises:
        LaspaError: no such header, or a file with two labels.
    """
    table = refuse_unfit(path, read_table(path, ["filename", "label"]))
    labels: dict[str, str] = {}
    for number, name, label in zip(table.index, table["filename"], table["label"], strict=True):
        if labels.setdefault(composed(name), label) != label:
            raise LaspaError(f"{path}:{number}: {name} is {label} here and {labels[composed(name)]} above")
    return labels
