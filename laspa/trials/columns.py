"""Columns of large text files: by pyarrow where regular, else by a loop that says what is not."""

from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from laspa.errors import LaspaError
from laspa.text import composed, encoding_of, lines

NAME = pa.string()  # of an utterance or model; all names of a file are numbered together
LABEL = pa.dictionary(pa.int32(), pa.string())  # one of a few words
NUMBER = pa.float64()
SHOWN = 80  # characters of a line shown in a message
# What `laspa.text.lines` takes for a blank or leaves out, beside the blanks of ASCII.
BLANK_OR_INVISIBLE = r"[\pZ\x{85}\x{FEFF}\x{200B}]"


def first_fields(path: Path | str, expected: str) -> list[str]:
    """The fields of the first line that is not blank.

    Raises:
        LaspaError: the file is missing, empty, or not text.
    """
    for _, fields in lines(path):
        return fields
    raise LaspaError(f"{path}: empty; expected lines of {expected}")


def line_of_row(path: Path | str, row: int, header: bool = False) -> int:
    """The line number of a row, counted as `read_columns` counts them."""
    return next(islice(lines(path), row + header, None))[0]


def read_columns(
    path: Path | str,
    columns: dict[str, pa.DataType],
    expected: str,
    labels: Collection[str] = (),
    hint: str = "",
    header: bool = False,
) -> pa.Table:
    """A text file as a table of one chunk a column.

    Args:
        columns: names and types (NAME, LABEL or NUMBER) of the fields, in order.
        expected: what a line should be, for messages.
        labels: the words that a LABEL may be; hint: what a message says of another one.
        header: whether the first line holds names.

    Raises:
        LaspaError: names the first line that is not as expected.
    """
    if (table := _read_regular(path, columns, labels, header)) is not None:
        return table
    parsed: dict[str, list[str | float]] = {name: [] for name in columns}
    for number, fields in islice(lines(path), int(header), None):
        problem = f"{len(fields)} fields instead of {len(columns)}" if len(fields) != len(columns) else ""
        for (name, kind), field in zip(columns.items(), fields, strict=False):
            if kind == LABEL and field not in labels:
                problem = problem or f"{name} {field!r} is none of {', '.join(labels)}{hint}"
            try:
                parsed[name].append(float(field) if kind == NUMBER else field)
            except ValueError:
                problem = problem or f"{name} is not a number: {field!r}"
        if problem:
            shown = " ".join(fields)[:SHOWN]
            raise LaspaError(f"{path}:{number}: {problem}; expected {expected}, got {shown!r}")
    if not parsed[next(iter(columns))]:
        raise LaspaError(f"{path}: empty; expected lines of {expected}")
    table = pa.table({name: pa.array(parsed[name], kind) for name, kind in columns.items()})
    return encode_names(table, [name for name, kind in columns.items() if kind == NAME])


def _read_regular(
    path: Path | str, columns: dict[str, pa.DataType], labels: Collection[str], header: bool
) -> pa.Table | None:
    """By pyarrow; None where the file is not a table with one separator, no gaps and known labels."""
    if encoding_of(path) == "utf-16":
        return None
    try:
        with open(path, encoding="utf-8-sig") as file:
            first = file.readline()
        separator = next((mark for mark in "\t, " if mark in first), "\t")
        table = pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(column_names=list(columns), skip_rows=int(header)),
            parse_options=pa.csv.ParseOptions(delimiter=separator, quote_char=False),
            convert_options=pa.csv.ConvertOptions(column_types=columns, strings_can_be_null=False),
        )
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid):
        return None
    if not len(table) or any(column.null_count for column in table.columns):
        return None
    names = [name for name, kind in columns.items() if kind == NAME]
    table = encode_names(table.unify_dictionaries(), names)
    words = {kind: table[name].chunk(0).dictionary for name, kind in columns.items() if kind != NUMBER}
    if _any_broken(words[NAME]) or (LABEL in words and not {*words[LABEL].to_pylist()} <= {*labels}):
        return None
    return table


def _any_broken(words: pa.Array) -> bool:
    """Whether a word is empty or holds a blank, a comma or a control character."""
    _, offsets, characters = words.buffers()
    ends = np.frombuffer(offsets, np.int32)[words.offset : words.offset + len(words) + 1]
    used = np.frombuffer(characters, np.uint8)[ends[0] : ends[-1]]
    if (np.diff(ends) == 0).any() or (used <= ord(" ")).any() or (used == ord(",")).any():
        return True
    return bool((used >= 128).any() and pc.any(pc.match_substring_regex(words, BLANK_OR_INVISIBLE)).as_py())


def composed_names(words: pa.Array) -> pa.Array:
    """Names with their accents composed (NFC), as they are compared."""
    if pc.all(pc.string_is_ascii(words), min_count=0).as_py():
        return words
    # pyarrow's own NFC decomposes.
    return pa.array([composed(name) for name in words.to_pylist()], words.type)


def encode_names(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Columns of names as rows of one dictionary that they share; one chunk a column."""
    encoded = [table[name].dictionary_encode() for name in columns]  # one dictionary for all chunks of each
    own = [composed_names(column.chunk(0).dictionary.cast(pa.string())) for column in encoded]
    shared = pa.concat_arrays(own).dictionary_encode()
    places = np.split(shared.indices.to_numpy(), np.cumsum([len(names) for names in own])[:-1])
    for name, column, place in zip(columns, encoded, places, strict=True):
        rows = place[np.concatenate([chunk.indices.to_numpy() for chunk in column.chunks])]
        numbered = pa.DictionaryArray.from_arrays(pa.array(rows), shared.dictionary)
        table = table.set_column(table.column_names.index(name), name, numbered)
    return table.combine_chunks()
