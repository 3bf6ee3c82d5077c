"""Any folders of recordings: a manifest (path, speaker, language), or a speaker/language/ tree."""

from pathlib import Path

import pandas as pd

from laspa.corpora.corpus import Corpus, Licence, Listing
from laspa.corpora.disk import first_file, read_table
from laspa.errors import LaspaError
from laspa.manifest.index import INDEX_COLUMNS, UNDETERMINED

SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".m4a", ".g722"}
MANIFESTS = ("manifest.csv", "manifest.parquet")
REQUIRED = ["path", "speaker", "language"]


def list_recordings(paths: list[str], root: Path) -> Listing:
    """The recordings of all folders; they stay where they are.

    A path in the index starts with the folder's number, a speaker's name with the folder's name, so
    that two folders may use the same names for different people (a second folder of the same name is
    numbered). Each of several folders is a corpus of its own in the column `corpus`.

    Raises:
        LaspaError: no folder given or one twice, a folder without recordings, a manifest without
            a column, or with a row that is incomplete, comes twice or names a missing file.
    """
    if not paths:
        raise LaspaError("params.yaml: corpus is folder but folder.paths is empty; list at least one folder")
    folders = [(root / path).resolve() for path in paths]
    parts = []
    for number, (path, folder) in enumerate(zip(paths, folders, strict=True)):
        if folder in folders[:number]:
            raise LaspaError(f"params.yaml: folder.paths has {path!r} twice; list each folder once")
        if not folder.is_dir():
            raise LaspaError(f"params.yaml: folder.paths has {path!r}, but {folder} is not a folder")
        manifest = first_file(folder / name for name in MANIFESTS)
        table = _from_manifest(manifest) if manifest else _from_tree(folder)
        table = table.reindex(columns=INDEX_COLUMNS, fill_value="")
        table["bytes"] = [_size(folder, name, manifest) for name in table["path"]]
        table["path"] = f"{number}/" + table["path"]
        same_name = sum(other.name == folder.name for other in folders[:number])
        prefix = f"{folder.name}{same_name + 1}" if same_name else folder.name
        table["speaker"] = f"{prefix}-" + table["speaker"]
        if len(paths) > 1:
            table["corpus"] = f"folder-{prefix}"
        parts.append(table)
    return Listing(pd.concat(parts), {str(number): path for number, path in enumerate(paths)})


def _from_manifest(file: Path) -> pd.DataFrame:
    table = read_table(file, REQUIRED)
    for column in ("path", "speaker"):  # the stage label can find a language
        empty = table.index[table[column] == ""]
        if len(empty):
            raise LaspaError(f"{file}, line {empty[0] + 2}: {column} is empty")
    if table.empty:
        raise LaspaError(f"{file}: no rows; list at least one recording")
    twice = table.index[table["path"].duplicated()]
    if len(twice):
        raise LaspaError(
            f"{file}, line {twice[0] + 2}: lists {table['path'][twice[0]]} again; list a recording once"
        )
    return table.assign(language=table["language"].replace("", UNDETERMINED))


def _from_tree(folder: Path) -> pd.DataFrame:
    files = sorted(file for file in folder.glob("*/*/*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise LaspaError(
            f"{folder}: neither a {' or '.join(MANIFESTS)} (columns {', '.join(REQUIRED)}) nor recordings as "
            f"SPEAKER/LANGUAGE/NAME with one of {', '.join(sorted(SUFFIXES))}"
        )
    rows = [(file.relative_to(folder).as_posix(), file.parts[-3], file.parts[-2]) for file in files]
    return pd.DataFrame(rows, columns=REQUIRED)


def _size(folder: Path, name: str, manifest: Path | None) -> int:
    try:
        return (folder / name).stat().st_size
    except OSError:
        raise LaspaError(f"{manifest}: lists {name}, but {folder / name} is missing") from None


CORPUS = Corpus(
    name="folder",
    title="Folders of recordings",
    licence=Licence("the recordings' own", ""),
    citation="",
    list_recordings=lambda params, root, _: list_recordings(params.folder.paths, root),
)
