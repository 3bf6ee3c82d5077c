"""Lists and tables as people save them: marks, encodings, line ends, accents, quotes and shifted fields."""

import unicodedata
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laspa.errors import LaspaError
from laspa.manifest.tables import read_labels
from laspa.text import lines, open_text, printable, read_table
from laspa.trials.lists import read_list, rows_of

LIST = "0 ann/é.wav bob/1.wav\n1 ann/é.wav ann/2.wav\n"


def saved(folder: Path, content: bytes, name: str = "a.txt") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize(
    "content",
    [
        LIST.encode(),
        LIST.encode("utf-8-sig"),
        LIST.encode("utf-16"),
        LIST.replace("\n", "\r\n").encode(),
        LIST.replace("\n", "\r\n").encode("utf-8-sig"),
        LIST.replace("\n", "\r").encode(),
        LIST.removesuffix("\n").encode(),
        LIST.replace(" ", "\t").encode(),
        LIST.replace(" ", "  ").encode("utf-8-sig"),
        LIST.replace(" ", ",").encode(),
        LIST.replace(" ", "\u00a0").encode(),
        LIST.replace("\n1", "\n\n  \n\ufeff1").encode("utf-8-sig"),  # two files joined
        unicodedata.normalize("NFD", LIST).encode(),
        LIST.replace("é", "e\u0301", 1).encode(),  # both forms in one file
    ],
)
def test_one_digest_for_one_content(tmp_path: Path, content: bytes) -> None:
    wanted = read_list(saved(tmp_path, LIST.encode(), "plain.txt"))
    found = read_list(saved(tmp_path, content))
    assert found.sha256() == wanted.sha256()
    assert found.names.to_pylist() == wanted.names.to_pylist()
    assert rows_of(found.names, ["ann/e\u0301.wav", "bob/1.wav", "ann/2.wav"]).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ok a b\nEspañol a b\n".encode("latin-1"), r"a\.txt:2: byte 0xf1 is not UTF-8.*Windows-1252"),
        ("a b\n".encode("utf-16-le"), r"a\.txt: holds zero bytes: no text, or UTF-16 without a mark"),
        (b"\xff\xfea\0b", r"a\.txt: cut short or damaged UTF-16"),
        (b"\x1f\x8b\x08" + bytes(9), r"a\.txt: is packed by gzip; unpack it"),
        (b"PK\3\4" + bytes(9), r"a\.txt: is packed by zip \(a spreadsheet\?\)"),
    ],
)
def test_what_is_no_text_is_told_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    for read in (read_list, lambda path: list(lines(path)), lambda path: read_table(path, [])):
        with pytest.raises(LaspaError, match=message):
            read(saved(tmp_path, content))
    with pytest.raises(LaspaError, match="no such file"), open_text(tmp_path / "gone.txt"):
        pass
    with pytest.raises(LaspaError, match="is a folder"):
        list(lines(tmp_path))


@pytest.mark.parametrize(
    "content",
    [
        b"path,speaker\na.wav,ann\nb.wav,\n",
        "\ufeff path ;speaker\r\n\r\na.wav;ann\r\nb.wav;\r\n".encode(),
        "path\tspeaker\na.wav\tann\nb.wav\t\n".encode("utf-16"),
        b'"path","speaker",\n"a.wav","ann",\n"b.wav",,\n',
        b"speaker,note,path\nann,x,a.wav\n,y,b.wav\n",
        b"path,speaker\ra.wav,ann\rb.wav,\r",
    ],
)
def test_tables_are_read_as_spreadsheets_save_them(tmp_path: Path, content: bytes) -> None:
    table = read_table(saved(tmp_path, content, "a.csv"), ["path", "speaker"])
    assert table[["path", "speaker"]].values.tolist() == [["a.wav", "ann"], ["b.wav", ""]]


def test_in_a_tsv_only_a_line_feed_ends_a_line_and_quotes_are_text(tmp_path: Path) -> None:
    text = 'path\tsentence\n1\t"a\n2\tb\rc\u2028d\x0b\x85e\n3\td\te\n4\n5\tf\t\t\r\n'
    path, unfit = saved(tmp_path, text.encode(), "a.tsv"), []
    table = read_table(path, ["path"], ["sentence", "gender"], unfit)
    assert table["path"].to_dict() == {2: "1", 3: "2", 6: "5"}
    assert table["sentence"].tolist() == ['"a', "b\rc\u2028d\x0b\x85e", "f"]
    assert unfit == [4, 5]
    with pytest.raises(LaspaError, match=r"a\.tsv:4: more or fewer fields .*\(2 such line"):
        read_table(path, ["path"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column path; it has no line"),
        (b"path,path\na,b\n", "has the column path twice"),
        (b'path\n"a\n', "not a CSV table"),
    ],
)
def test_what_is_no_table_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(LaspaError, match=message):
        read_table(saved(tmp_path, content, "a.csv"), ["path"])


def test_parquet_is_a_table_too(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["a", None], "n": [1, 2]}).to_parquet(tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet", ["path"])["path"].to_dict() == {1: "a", 2: ""}
    with pytest.raises(LaspaError, match="not a Parquet table"):
        read_table(saved(tmp_path, b"PAR1", "b.parquet"), [])


def test_parquet_with_damaged_text_is_refused(tmp_path: Path) -> None:
    table = pa.table({"path": ["ann/en/0.wav"], "utterance_id": ["u"]})
    pq.write_table(table, tmp_path / "a.parquet")
    saved(tmp_path, (tmp_path / "a.parquet").read_bytes().replace(b"ann/en", b"ann/\xffn"), "b.parquet")
    with pytest.raises(LaspaError, match=r"b\.parquet: not a Parquet table"):
        read_table(tmp_path / "b.parquet", ["path"])
    with pytest.raises(LaspaError, match=r"b\.parquet: not a Parquet table"):
        read_labels(tmp_path / "b.parquet", ("utterance_id",))


def test_an_index_is_a_column_and_damaged_notes_of_pandas_are_unread(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["a"]}, index=pd.Index(["u"], name="utterance_id")).to_parquet(
        tmp_path / "a.parquet"
    )
    damaged = pq.read_table(tmp_path / "a.parquet").replace_schema_metadata({"pandas": b"\xe5{"})
    pq.write_table(damaged, tmp_path / "b.parquet")
    for name in ("a.parquet", "b.parquet"):
        assert read_labels(tmp_path / name, ("utterance_id",)).to_pandas()["utterance_id"].tolist() == ["u"]
        assert read_table(tmp_path / name, ["utterance_id"])["utterance_id"].tolist() == ["u"]


def test_an_error_is_one_line_whatever_a_header_holds(tmp_path: Path) -> None:
    for name in ("table.tsv", "table.csv"):
        content = 'cl\x85i\x1b[2Jent_id\tpa\u2028th,"a\nb"\n'.encode()
        with pytest.raises(LaspaError) as caught:
            read_table(saved(tmp_path, content, name), ["client_id"])
        assert len(str(caught.value).splitlines()) == 1
        assert str(caught.value).isprintable()


@given(st.binary(max_size=300), st.sampled_from([".txt", ".csv", ".tsv", ".parquet"]))
def test_any_bytes_are_a_table_or_one_line(tmp_path_factory, content: bytes, suffix: str) -> None:
    path = saved(tmp_path_factory.mktemp("any"), content, f"a{suffix}")
    for read in (lambda: read_table(path, []), lambda: read_list(path), lambda: list(lines(path))):
        with suppress(LaspaError):
            read()


def test_names_that_are_no_utf_8_can_be_printed() -> None:
    assert printable("caf\udce9/é") == "caf\\xe9/é"
