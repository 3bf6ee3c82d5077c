"""Columns of large text files: by pyarrow where regular, else by a loop that says what is not."""

from collections.abc import Callable
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
    for count, (number, _) in enumerate(lines(path)):
        if count == row + header:
            return number
    raise IndexError(row)


def read_columns(
    path: Path | str,
    columns: dict[str, pa.DataType],
    expected: str,
    check: Callable[[list[str]], str] = lambda _: "",
    header: bool = False,
) -> pa.Table:
    """A text file as a table of one chunk a column.

    Args:
        columns: names and types (NAME, LABEL or NUMBER) of the fields, in order.
        expected: what a line should be, for messages.
        check: what is wrong with the fields of a line, or nothing; asked only where the fast way fails.
        header: whether the first line holds names.

    Raises:
        LaspaError: names the first line that is not as expected.
    """
    table = _read_regular(path, columns, header)
    return _read_lines(path, columns, expected, check, header) if table is None else table


def _read_regular(path: Path | str, columns: dict[str, pa.DataType], header: bool) -> pa.Table | None:
    """By pyarrow; None where the file is not a table with one separator and no gaps."""
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
    table = encode_names(table.unify_dictionaries(), columns)
    one_of_each = {kind: name for name, kind in columns.items() if kind != NUMBER}  # names share a dictionary
    if any(_any_broken(table[name].chunk(0).dictionary) for name in one_of_each.values()):
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


def encode_names(table: pa.Table, columns: dict[str, pa.DataType]) -> pa.Table:
    """NAME columns as rows of one dictionary that they share; one chunk a column."""
    fields = [name for name, kind in columns.items() if kind == NAME]
    encoded = [table[name].dictionary_encode() for name in fields]  # one dictionary for all chunks of each
    own = [composed_names(column.chunk(0).dictionary) for column in encoded]
    shared = pa.concat_arrays(own).dictionary_encode()
    places = np.split(shared.indices.to_numpy(), np.cumsum([len(names) for names in own])[:-1])
    for name, column, place in zip(fields, encoded, places, strict=True):
        rows = place[np.concatenate([chunk.indices.to_numpy() for chunk in column.chunks])]
        numbered = pa.DictionaryArray.from_arrays(pa.array(rows), shared.dictionary)
        table = table.set_column(table.column_names.index(name), name, numbered)
    return table.combine_chunks()


def _read_lines(
    path: Path | str,
    columns: dict[str, pa.DataType],
    expected: str,
    check: Callable[[list[str]], str],
    header: bool,
) -> pa.Table:
    parsed: dict[str, list[str | float]] = {name: [] for name in columns}
    for count, (number, fields) in enumerate(lines(path)):
        if header and count == 0:
            continue
        problem = check(fields)
        if len(fields) != len(columns):
            problem = f"{len(fields)} fields instead of {len(columns)}"
        for (name, kind), field in zip(columns.items(), fields, strict=False):
            try:
                parsed[name].append(float(field) if kind == NUMBER else field)
            except ValueError:
                problem = problem or f"{name} is not a number: {field!r}"
        if problem:
            shown = " ".join(fields)[:SHOWN]
            raise LaspaError(f"{path}:{number}: {problem}; expected {expected}, got {shown!r}")
    if not parsed[next(iter(columns))]:
        raise LaspaError(f"{path}: empty; expected lines of {expected}")
    text = {name: NAME if kind == LABEL else kind for name, kind in columns.items()}
    table = pa.table({name: pa.array(parsed[name], text[name]) for name in columns})
    for place, (name, kind) in enumerate(columns.items()):
        if kind == LABEL:
            table = table.set_column(place, name, table[name].dictionary_encode())
    return encode_names(table, columns)


def shared_numbering(first: pa.Array, second: pa.Array) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """One list of names for two columns: (names, rows of the first, rows of the second), int32."""
    sides = [
        side if pa.types.is_dictionary(side.type) else side.dictionary_encode() for side in (first, second)
    ]
    words = [side.dictionary.cast(pa.string()) for side in sides]
    dictionaries = [composed_names(one) for one in words]
    if dictionaries[0].equals(dictionaries[1]) and dictionaries[0].equals(words[0]):
        return dictionaries[0], sides[0].indices.to_numpy(), sides[1].indices.to_numpy()
    names = pc.unique(pa.concat_arrays(dictionaries))
    place = [pc.index_in(values, value_set=names).to_numpy().astype(np.int32) for values in dictionaries]
    rows = [place[i][side.indices.to_numpy(zero_copy_only=False)] for i, side in enumerate(sides)]
    return names, rows[0], rows[1]
