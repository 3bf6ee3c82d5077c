"""Folders of recordings: both forms, several joined, and what each bad input is told."""

from pathlib import Path

import pandas as pd
import pytest

from laspa.corpora import prepare as preparation
from laspa.errors import LaspaError
from laspa.manifest.index import locator
from laspa.params import load_params, with_overrides

PARAMS = Path(__file__).parents[2] / "params.yaml"


def prepare(paths: list[str], root: Path, raw: Path) -> None:
    params = with_overrides(load_params(PARAMS), {"corpus": "folder", "folder.paths": paths})
    preparation.prepare(params, root, raw)


def write_manifest(folder: Path, text: str, *files: str) -> None:
    """A folder with a manifest.csv, and a file of as many bytes as its name is long for each name."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * len(name))
    folder.mkdir(exist_ok=True)
    (folder / "manifest.csv").write_text(text, encoding="utf-8")


def read_index(raw: Path) -> pd.DataFrame:
    return pd.read_csv(raw / "index.csv", dtype=str, keep_default_na=False)


def test_a_manifest_gives_the_index_with_gender_and_split_where_present(tmp_path: Path) -> None:
    text = "\ufeffpath,seconds,speaker,language,gender,split\nb.wav,1,ann,en,f,train\nd/a.wav,2,bob,NA,,\n"
    write_manifest(tmp_path / "mine", text, "b.wav", "d/a.wav")
    prepare(["mine"], tmp_path, tmp_path / "raw")
    assert (tmp_path / "raw/index.csv").read_text() == (
        "path,speaker,language,gender,split,bytes\n0/b.wav,mine-ann,eng,f,train,5\n0/d/a.wav,mine-bob,nau,,,7\n"
    )


def test_a_language_may_be_left_to_a_model(tmp_path: Path) -> None:
    write_manifest(tmp_path / "mine", "path,speaker,language\nb.wav,ann,\n", "b.wav")
    prepare(["mine"], tmp_path, tmp_path / "raw")
    assert read_index(tmp_path / "raw")["language"].tolist() == ["und"]


def test_a_manifest_may_be_parquet(tmp_path: Path) -> None:
    write_manifest(tmp_path / "mine", "", "b.wav")
    (tmp_path / "mine/manifest.csv").unlink()
    table = pd.DataFrame({"path": ["b.wav"], "speaker": ["ann"], "language": ["en"], "age": [31]})
    table.assign(gender=pd.Series([None], dtype="str")).to_parquet(tmp_path / "mine/manifest.parquet")
    prepare(["mine"], tmp_path, tmp_path / "raw")
    assert (tmp_path / "raw/index.csv").read_text() == (
        "path,speaker,language,gender,split,bytes\n0/b.wav,mine-ann,eng,,,5\n"
    )
    table.drop(columns="speaker").to_parquet(tmp_path / "mine/manifest.parquet")
    with pytest.raises(LaspaError, match=r"manifest\.parquet: no column speaker; it has path, language, age"):
        prepare(["mine"], tmp_path, tmp_path / "raw")


def test_a_tree_gives_speaker_and_language(tmp_path: Path) -> None:
    for name in ("ann/en/1.wav", "ann/de/1.FLAC", "bob/en/2.mp3", "bob/en/3.ogg", "bob/en/notes.txt"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(b"1234")
    prepare(["tree"], tmp_path, tmp_path / "raw")
    index = read_index(tmp_path / "raw")
    assert index[["path", "speaker", "language", "gender", "split", "bytes"]].values.tolist() == [
        ["0/ann/de/1.FLAC", "tree-ann", "deu", "", "", "4"],
        ["0/ann/en/1.wav", "tree-ann", "eng", "", "", "4"],
        ["0/bob/en/2.mp3", "tree-bob", "eng", "", "", "4"],
        ["0/bob/en/3.ogg", "tree-bob", "eng", "", "", "4"],
    ]


def test_several_folders_are_joined_and_each_path_is_found_again(tmp_path: Path) -> None:
    write_manifest(tmp_path / "a", "path,speaker,language\nx.wav,s1,en\n", "x.wav")
    write_manifest(tmp_path / "other/a", "path,speaker,language,gender\ny.wav,s1,de,m\n", "y.wav")
    write_manifest(tmp_path / "b", "path,speaker,language\nz.wav,s1,fr\n", "z.wav")
    paths = ["a", str(tmp_path / "other/a"), "b"]
    prepare(paths, tmp_path, tmp_path / "raw")
    index = read_index(tmp_path / "raw")
    # Three people called s1, two of them in folders of one name.
    assert index["speaker"].tolist() == ["a-s1", "a2-s1", "b-s1"]
    assert index["gender"].tolist() == ["", "m", ""]
    assert index["corpus"].tolist() == ["folder-a", "folder-a2", "folder-b"]
    found = [locator(tmp_path / "raw", tmp_path)(path) for path in index["path"]]
    assert found == [tmp_path / "a/x.wav", tmp_path / "other/a/y.wav", tmp_path / "b/z.wav"]


def test_the_synthetic_corpus_stands_beside_its_index(tmp_path: Path) -> None:
    assert locator(tmp_path / "raw", tmp_path)("s/en/0.wav") == tmp_path / "raw/s/en/0.wav"


HEADER = "path,speaker,language\n"


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("path,speaker\nx.wav,ann\n", "manifest.csv: no column language; it has path, speaker"),
        (HEADER + "x.wav,ann,en\ngone.wav,ann,en\n", "manifest.csv:3: lists gone.wav, but "),
        (HEADER + "x.wav,ann,en\nx.wav,,en\n", "manifest.csv:3: speaker is empty"),
        (HEADER + "x.wav,ann,en\nx.wav,bob,en\n", "manifest.csv:3: lists x.wav again"),
        (HEADER, "manifest.csv: no rows; list at least one recording"),
        ("", "manifest.csv: no column path, speaker, language; it has no line"),
        (HEADER + 'x.wav,"ann,en\n', "manifest.csv: not a CSV table"),
        (
            None,
            "neither a manifest.csv, manifest.tsv or manifest.parquet (columns path, speaker, language) "
            "nor recordings as "
            "SPEAKER/LANGUAGE",
        ),
    ],
)
def test_a_bad_folder_is_told_what_is_wrong(tmp_path: Path, manifest: str | None, message: str) -> None:
    write_manifest(tmp_path / "mine", manifest or "", "x.wav")
    if manifest is None:
        (tmp_path / "mine/manifest.csv").unlink()
    with pytest.raises(LaspaError) as raised:
        prepare(["mine"], tmp_path, tmp_path / "raw")
    assert str(tmp_path / "mine") in str(raised.value)
    assert message in str(raised.value)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "corpus is folder but folder.paths is empty"),
        (["nowhere"], "folder.paths has 'nowhere', but "),
        (["mine/x.wav"], "x.wav is not a folder"),
        (["mine", "./mine"], "folder.paths has './mine' twice"),
    ],
)
def test_bad_paths_name_the_param(tmp_path: Path, paths: list[str], message: str) -> None:
    write_manifest(tmp_path / "mine", HEADER + "x.wav,ann,en\n", "x.wav")
    with pytest.raises(LaspaError) as raised:
        prepare(paths, tmp_path, tmp_path / "raw")
    assert str(raised.value).startswith("params.yaml: ")
    assert message in str(raised.value)


def test_a_file_that_changes_its_size_changes_the_index(tmp_path: Path) -> None:
    write_manifest(tmp_path / "mine", HEADER + "x.wav,ann,en\n", "x.wav")
    prepare(["mine"], tmp_path, tmp_path / "raw")
    before = (tmp_path / "raw/index.csv").read_bytes()
    prepare(["mine"], tmp_path, tmp_path / "raw")
    assert (tmp_path / "raw/index.csv").read_bytes() == before
    (tmp_path / "mine/x.wav").write_bytes(b"more than before")
    prepare(["mine"], tmp_path, tmp_path / "raw")
    assert (tmp_path / "raw/index.csv").read_bytes() != before
