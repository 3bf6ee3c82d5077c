"""Trial lists in the field's formats: VoxCeleb, VoxSRC, VoxCeleb1-B, TidyVoice, Kaldi, CN-Celeb, Parquet.

| format | line | lists |
|---|---|---|
| `voxceleb` | `1 enroll test` | VoxCeleb1-O, E, H, VoxSRC2021 val, VoxCeleb1-B, TidyVoice dev |
| `kaldi` | `enroll test target` | Kaldi, WeSpeaker |
| `cnceleb` | `model test 1` | CN-Celeb, with the utterances of each model in a second file |
| `unlabelled` | `enroll test` | lists of running evaluations |
"""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laspa.errors import LaspaError
from laspa.files import atomic_path
from laspa.trials.columns import LABEL, NAME, first_fields, line_of_row, lines, read_columns, shared_numbering

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
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: Knuth's multiplier for hashing
WRITTEN_AT_A_TIME = 1_000_000  # trials, to bound memory


@dataclass(frozen=True)
class TrialList:
    """Trials as row numbers into `names`.

    enroll, test: (trials,) int32; target: (trials,) bool, None where the list has no labels;
    relations: boolean columns that the file itself carries; header: whether its first line holds names.
    """

    path: str
    names: pa.Array
    enroll: np.ndarray
    test: np.ndarray
    target: np.ndarray | None
    relations: dict[str, np.ndarray] = field(default_factory=dict)
    header: bool = False

    def __len__(self) -> int:
        return len(self.enroll)

    def place(self, row: int) -> str:
        """Where a trial stands, for messages: `file:line`, or `file: row` of a Parquet table."""
        if is_parquet(self.path):
            return f"{self.path}: row {row + 1}"
        return f"{self.path}:{line_of_row(self.path, row, self.header)}"

    def first_with(self, names: pa.Array) -> int:
        """The first trial that has one of these names on a side."""
        wanted = pc.is_in(self.names, value_set=names).to_numpy(zero_copy_only=False)
        return int(np.flatnonzero(wanted[self.enroll] | wanted[self.test])[0])

    def pair(self, row: int) -> str:
        return f"{self.names[self.enroll[row]]} {self.names[self.test[row]]}"


def is_parquet(path: Path | str) -> bool:
    return Path(path).suffix == ".parquet"


def read_list(path: Path | str, form: str | None = None, keep_duplicates: bool = False) -> TrialList:
    """A trial list; its format is told from its first line unless `form` names it.

    Raises:
        LaspaError: the file is missing, empty or mixes formats, a label is none, a trial comes twice
            (an error even with `keep_duplicates` where its labels differ).
    """
    trials = _read_table(path) if is_parquet(path) else _read_text(path, form)
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
    columns, labels = FORMATS[form], LABELS[form]
    where = columns.index("label") if labels else -1

    def wrong_label(fields: list[str]) -> str:
        if where < 0 or len(fields) <= where or fields[where] in labels:
            return ""
        return f"label {fields[where]!r} is none of {', '.join(labels)} (mixed formats?)"

    expected = f"`{' '.join(columns)}` ({form})"
    kinds = {name: LABEL if name == "label" else NAME for name in columns}
    table = read_columns(path, kinds, expected, wrong_label)
    names, enroll, test = shared_numbering(table["enroll"].chunk(0), table["test"].chunk(0))
    if not labels:
        return TrialList(str(path), names, enroll, test, None)
    label = table["label"].chunk(0)
    meaning = [labels.get(value) for value in label.dictionary.to_pylist()]
    if None in meaning:
        code = label.indices.to_numpy()
        row = int(np.flatnonzero(np.isin(code, [i for i, m in enumerate(meaning) if m is None]))[0])
        problem = f"label {label[row].as_py()!r} is none of {', '.join(labels)} (mixed formats?)"
        raise LaspaError(f"{path}:{line_of_row(path, row)}: {problem}; expected {expected}")
    target = np.array(meaning, dtype=bool)[label.indices.to_numpy()]
    return TrialList(str(path), names, enroll, test, target)


def read_parquet(path: Path | str, columns: tuple[str, ...]) -> pa.Table:
    """A Parquet table that has at least these columns and a row.

    Raises:
        LaspaError: the file is missing or no Parquet, a column is missing, or there are no rows.
    """
    try:
        table = pq.read_table(path).combine_chunks()
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise LaspaError(f"{path}: no Parquet table ({str(error).splitlines()[0]})") from None
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise LaspaError(f"{path}: no column {', '.join(missing)}; it has {', '.join(table.column_names)}")
    if not len(table):
        raise LaspaError(f"{path}: empty; expected rows of {', '.join(columns)}")
    return table


def _read_table(path: Path | str) -> TrialList:
    return trials_of_table(path, read_parquet(path, ("enroll", "test")))


def trials_of_table(path: Path | str, table: pa.Table) -> TrialList:
    """The trials of a Parquet table with columns enroll, test and, where labelled, target."""
    names, enroll, test = shared_numbering(table["enroll"].chunk(0), table["test"].chunk(0))
    flags = {
        name: table[name].fill_null(False).to_numpy().astype(bool)
        for name in ("target", *RELATIONS)
        if name in table.column_names and not table[name].null_count
    }
    return TrialList(str(path), names, enroll, test, flags.pop("target", None), flags)


def check_duplicates(trials: TrialList, keep: bool) -> None:
    """Refuse a trial that stands in the list twice."""
    pair = trials.enroll.astype(np.int64) * len(trials.names) + trials.test
    if not _repeats(pair):
        return
    order = np.argsort(pair, kind="stable")
    again = np.flatnonzero(pair[order][1:] == pair[order][:-1])
    first, second = order[again], order[again + 1]
    if trials.target is not None and (differs := trials.target[first] != trials.target[second]).any():
        one, other = first[differs][0], second[differs][0]
        raise LaspaError(
            f"{trials.place(other)}: {trials.pair(other)} has another label in {trials.place(one)}"
        )
    if not keep:
        earliest = int(np.argmin(second))
        raise LaspaError(
            f"{trials.place(second[earliest])}: {trials.pair(second[earliest])} stands in "
            f"{trials.place(first[earliest])} too; a trial comes once ({len(again)} come again; "
            "--keep-duplicates counts them all the same)"
        )


def _repeats(numbers: np.ndarray) -> bool:
    """Whether a number comes twice.

    Each is put into a slot of a table, and what finds another number in its slot is sorted: a sixth of
    them, where there are twice as many slots. This takes a third of the time of sorting all.
    """
    bits = (2 * len(numbers) + 1).bit_length()
    slot = (numbers.astype(np.uint64) * GOLDEN >> np.uint64(64 - bits)).view(np.int64)
    place = np.arange(len(numbers), dtype=np.min_scalar_type(len(numbers)))
    table = np.empty(2**bits, dtype=place.dtype)
    table[slot] = place
    kept = table[slot]
    others = np.flatnonzero(kept != place)
    if (numbers[kept[others]] == numbers[others]).any():
        return True
    rest = np.sort(numbers[others])
    return bool((rest[1:] == rest[:-1]).any())


def write_list(path: Path | str, trials: TrialList, form: str) -> None:
    """Write a list in one of FORMATS, whole or not at all."""
    if LABELS[form] and trials.target is None:
        raise LaspaError(f"{path}: format {form} has labels, {trials.path} has none; write it as unlabelled")
    refuse_blanks(trials)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for block in _text(trials, form):
            file.write(block)


def digest(trials: TrialList) -> str:
    """SHA-256 of the lines `enroll test 1|0` (`enroll test` without labels), whatever the file's format."""
    total = hashlib.sha256()
    for block in _text(trials, "unlabelled" if trials.target is None else "cnceleb"):
        total.update(block)
    return total.hexdigest()


def _text(trials: TrialList, form: str) -> Iterator[pa.Buffer]:
    """The lines of a list in blocks, to bound memory."""
    labels = {value: text for text, value in LABELS[form].items()}
    rows = {"enroll": trials.enroll, "test": trials.test}
    words = dict.fromkeys(rows, trials.names)
    if labels and trials.target is not None:
        rows["label"] = trials.target.astype(np.int8)
        words["label"] = pa.array([labels[False], labels[True]])
    for start in range(0, len(trials), WRITTEN_AT_A_TIME):
        block = slice(start, start + WRITTEN_AT_A_TIME)
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
    labels: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = enumerate(csv.reader(file), start=1)
            _, header = next(rows, (0, []))
            if header != ["filename", "label"]:
                raise LaspaError(f"{path}:1: expected the header `filename,label`, got {','.join(header)!r}")
            for number, fields in rows:
                if len(fields) != 2:
                    raise LaspaError(f"{path}:{number}: expected `filename,label`, got {','.join(fields)!r}")
                name, label = (text.strip() for text in fields)
                if labels.setdefault(name, label) != label:
                    raise LaspaError(f"{path}:{number}: {name} is {label} here and {labels[name]} above")
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file") from None
    return labels
