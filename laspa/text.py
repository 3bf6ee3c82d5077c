"""Text as people save it: marks, encodings, line ends, blanks, accents; the reader of all lists and tables.

UTF-8 is read with and without a byte order mark, and UTF-16 with one. Lines may end in LF, CRLF or CR. Names
are compared with their accents composed (NFC), since a Mac writes `é` as two characters and others as one.
"""

import csv
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from laspa.errors import LaspaError, one_line

FEW = 5  # names in a message
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
PACKED = {b"\x1f\x8b": "gzip", b"PK": "zip (a spreadsheet?)", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
INVISIBLE = "[\ufeff\u200b]"  # marks that joining files leaves inside, and blanks of no width
DECIMAL_COMMA = r"(?<=\s)[-+]?\d+,\d+(?=\s|$)"  # where blanks part the fields, as in `a b 0,5`
DELIMITERS = ",;\t"  # of a table, if not .tsv: Excel writes semicolons where the comma is decimal
FIELD_LIMIT = 2**24  # characters of a field of a table


def composed(text: str) -> str:
    """In the normal form in which names are compared."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def printable(path: Path | str) -> str:
    """A path for a message: bytes that are no UTF-8 are shown as \\xe9."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_utf_8(name: str) -> bool:
    """Whether a file's name can be written as UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def few(names: Iterable[object]) -> str:
    """The first names, for a message about many."""
    return ", ".join(map(str, islice(names, FEW)))


def encoding_of(path: Path | str) -> str:
    """Of a text file, by its mark.

    Raises:
        LaspaError: no such file, a folder, or a packed file.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(1024)
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise LaspaError(f"{path}: is a folder, a file was expected") from None
    for mark, kind in PACKED.items():
        if head.startswith(mark):
            raise LaspaError(f"{path}: is packed by {kind}; unpack it, or save it as text")
    if head.startswith(UTF_16):
        return "utf-16"
    if b"\0" in head:
        raise LaspaError(f"{path}: holds zero bytes: no text, or UTF-16 without a mark; save it as UTF-8")
    return "utf-8-sig"


@contextmanager
def open_text(path: Path | str, newline: str | None = None) -> Iterator[IO[str]]:
    """A text file, open for reading; newline as in `open`.

    Raises:
        LaspaError: what `encoding_of` raises, or bytes of another encoding, with the line.
    """
    encoding = encoding_of(path)
    try:
        with open(path, encoding=encoding, newline=newline) as file:
            yield file
    except UnicodeDecodeError as error:
        raise LaspaError(_other_encoding(path, encoding, error)) from None


def _other_encoding(path: Path | str, encoding: str, error: UnicodeDecodeError) -> str:
    if encoding == "utf-16":
        return f"{path}: cut short or damaged UTF-16 text; save it as UTF-8"
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as inner:
                byte, place = line[inner.start], f"{path}:{number}"
                return (
                    f"{place}: byte 0x{byte:02x} is not UTF-8, as in text saved as Windows-1252 or Latin-1; "
                    "save it as UTF-8, such as by iconv -f WINDOWS-1252 -t UTF-8"
                )
    return f"{path}: not UTF-8 text ({error.reason})"


def lines(path: Path | str) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, fields) of every line that is not blank; commas, tabs or blanks part fields.

    Raises:
        LaspaError: as `open_text`.
    """
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.isascii():
                line = composed(re.sub(INVISIBLE, "", line))
            if "," in line and (number_with_comma := re.search(DECIMAL_COMMA, line)):
                raise LaspaError(
                    f"{path}:{number}: {number_with_comma[0]} has a decimal comma; write numbers with a point"
                )
            if fields := line.replace(",", " ").split():
                yield number, fields


def read_table(
    path: Path | str, columns: Sequence[str], optional: Sequence[str] = (), unfit: list[int] | None = None
) -> pd.DataFrame:
    """A CSV, TSV or Parquet table as text, without blanks around names and values, and without empty lines.

    In a TSV a quotation mark is part of a sentence, and only LF and CRLF end a line. In a CSV fields may be
    quoted and parted by commas, semicolons or tabs. Empty fields behind the last column are ignored.

    Args:
        columns: must be there. optional: read too if they are; with neither, all columns are read.
        unfit: takes the numbers of the lines with more or fewer fields than the header, which are left out.

    Returns:
        a row for each line, whose number in the file, from 1, is the index.

    Raises:
        LaspaError: a file that is missing, is not a table or lacks one of `columns`; without `unfit`, a line
            that does not fit.
    """
    wanted = [*columns, *optional]
    if Path(path).suffix == ".parquet":
        return _parquet(path, columns, wanted)
    rows = _tsv_rows(path) if Path(path).suffix == ".tsv" else _csv_rows(path)
    try:
        _, header = next(rows, (0, []))
        header = [name.strip() for name in header]
        while header and not header[-1]:
            header.pop()
        _require(path, columns, header)
        places = {name: place for place, name in enumerate(header) if name in wanted or not wanted}
        numbers: list[int] = []
        left_out: list[int] = []
        found: dict[str, list[str]] = {name: [] for name in places}
        for number, fields in rows:
            if len(fields) < len(header) or any(field.strip() for field in fields[len(header) :]):
                left_out.append(number)
                continue
            numbers.append(number)
            for name, place in places.items():
                found[name].append(fields[place].strip())
    except csv.Error as error:
        raise LaspaError(f"{path}: not a CSV table ({error})") from None
    if unfit is not None:
        unfit += left_out
    elif left_out:
        raise LaspaError(
            f"{path}:{left_out[0]}: more or fewer fields than the header names ({len(left_out)} "
            "such line(s)); name every column, and quote a field that holds a comma"
        )
    return pd.DataFrame(found, index=numbers, dtype=object)


def _require(path: Path | str, columns: Sequence[str], header: Sequence[str]) -> None:
    missing = [column for column in columns if column not in header]
    if missing:
        raise LaspaError(
            f"{path}: no column {', '.join(missing)}; it has {one_line(', '.join(header)) or 'no line'}"
        )
    if twice := [name for name in columns if list(header).count(name) > 1]:
        raise LaspaError(f"{path}: has the column {twice[0]} twice; leave one")


def read_whole(path: Path | str) -> pa.Table:
    """A Parquet table all of whose values were looked at: pyarrow takes damaged text for UTF-8.

    What pandas noted of indices and types is left out: an index is a column like the others.

    Raises:
        FileNotFoundError, OSError or ValueError (pyarrow's errors are ValueErrors): it cannot be read.
    """
    table = pq.read_table(path)
    table.validate(full=True)
    notes = table.schema.metadata or {}
    return table.replace_schema_metadata({key: notes[key] for key in notes if key != b"pandas"})


def _parquet(path: Path | str, columns: Sequence[str], wanted: Sequence[str]) -> pd.DataFrame:
    try:
        table = read_whole(path).to_pandas()
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file; it should have the columns {', '.join(columns)}") from None
    except (OSError, ValueError) as error:  # ValueError: pyarrow's too
        raise LaspaError(f"{path}: not a Parquet table ({one_line(error)})") from None
    table.columns = table.columns.astype(str).str.strip()
    _require(path, columns, list(table.columns))
    table = table[[name for name in table.columns if name in wanted or not wanted]]
    table.index = range(1, len(table) + 1)
    return table.astype("string").fillna("").astype(object).apply(lambda column: column.str.strip())


def _tsv_rows(path: Path | str) -> Iterator[tuple[int, list[str]]]:
    with open_text(path, newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line.rstrip("\n").split("\t")


def _csv_rows(path: Path | str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(FIELD_LIMIT)
    with open_text(path, newline="") as file:
        header = file.readline()
        file.seek(0)
        reader = csv.reader(file, delimiter=max(DELIMITERS, key=header.count), strict=True)
        last = 0
        for fields in reader:
            number, last = last + 1, reader.line_num
            if any(field.strip() for field in fields):
                yield number, fields
