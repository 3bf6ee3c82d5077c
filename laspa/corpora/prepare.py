"""The corpora that `corpus:` in params.yaml joins, as one index, with their publishers' trial lists."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa

from laspa.corpora.catalogue import CORPORA, EMBEDDED
from laspa.corpora.corpus import Listing
from laspa.corpora.disk import one_format_each, without_suffix
from laspa.errors import LaspaError
from laspa.files import write_json
from laspa.manifest.index import FOLDERS_FILE, INDEX_COLUMNS, INDEX_FILE, LISTS_FOLDER
from laspa.manifest.language_codes import unify
from laspa.params import Params
from laspa.params.messages import unknown_choice
from laspa.text import composed
from laspa.trials.lists import TrialList, read_list, write_list
from laspa.trials.splits import OUT_OF_CORPUS


def prepare(params: Params, root: Path, raw: Path) -> None:
    """Write the corpora of `params` under `raw`: recordings or their folders, index.csv and trial lists.

    Languages become ISO 639-3, except where all corpora are embedded ones, which keep the codes of their
    params. Joined corpora get their name in front of their speakers, and in the column `corpus`, unless
    the corpus has filled this column itself. A corpus that models of others are tested on changes nothing in
    theirs: a single other corpus keeps its speakers' names.

    Args:
        root: of the project: relative folders are relative to it.

    Raises:
        LaspaError: an unknown corpus, what a corpus raises, or a language without a code.
    """
    names = params.corpora
    for name in names:
        if name not in CORPORA:
            raise LaspaError(unknown_choice("corpus", name, CORPORA))
    home = [name for name in names if name not in OUT_OF_CORPUS]
    if names == ["synthetic"]:
        _write(raw, CORPORA["synthetic"].list_recordings(params, root, raw))
        return
    rows: list[pd.DataFrame] = []
    folders: dict[str, str] = {}
    lists: dict[str, TrialList] = {}
    for name in names:
        listing = CORPORA[name].list_recordings(params, root, raw / name)
        table = listing.rows.reset_index(drop=True)
        for column in ("speaker", "language"):  # one person, whichever way the name is written
            table[column] = table[column].map(composed)
        table = one_format_each(table, without_suffix(table["path"]), name)
        if not set(names) <= EMBEDDED:
            table["language"] = unify(table["language"], name, listing.skip_unknown_languages)
            table = table[table["language"] != ""]
        if not listing.folders:
            table["path"] = f"{name}/" + table["path"]
        if home != [name]:
            table["speaker"] = f"{name}-" + table["speaker"]
        if len(names) > 1:
            table["corpus"] = table.get("corpus", name)
        rows.append(table)
        folders |= listing.folders
        for title, file in listing.lists.items():
            if (trials := _with_paths(title, file, table["path"], listing.list_parts)) is not None:
                lists[title] = trials
    index = pd.concat(rows, ignore_index=True)
    extra = [column for column in ("bytes", "corpus") if column in index]
    index = index.reindex(columns=[*INDEX_COLUMNS, *extra]).sort_values("path", ignore_index=True)
    if "bytes" in extra:
        index["bytes"] = index["bytes"].astype("Int64")
    _write(raw, Listing(index, folders))
    for title, trials in lists.items():
        (raw / LISTS_FOLDER).mkdir(exist_ok=True)
        write_list(raw / LISTS_FOLDER / f"{title}.parquet", trials)


def _write(raw: Path, listing: Listing) -> None:
    if listing.rows.empty:
        raise LaspaError(f"{raw}: no recordings; is it the right corpus in params.yaml?")
    raw.mkdir(parents=True, exist_ok=True)
    if listing.folders:
        write_json(raw / FOLDERS_FILE, listing.folders)
    listing.rows.to_csv(raw / INDEX_FILE, index=False, lineterminator="\n")


def _recording_keys(paths: pd.Series, parts: int) -> pd.Series:
    """The last `parts` parts of each path, without the suffix."""
    stems = paths.map(composed).str.replace(r"\.[^./]+$", "", regex=True)
    return stems.str.split("/").str[-parts:].str.join("/")


def _with_paths(name: str, file: Path, paths: pd.Series, parts: int) -> TrialList | None:
    """The trials of a list between paths of the index; its digest is that of the list in its own names.

    Args:
        paths: of all recordings of the corpus.

    Returns:
        None, and a message that says why, for a list some of whose recordings are missing: figures on a part
        of it would pass for figures on the list.

    Raises:
        LaspaError: not a list of trials with labels.
    """
    trials = read_list(file, "voxceleb", keep_duplicates=True)
    known = pd.Series(paths.to_numpy(), index=_recording_keys(paths, parts))
    known = known[~known.index.duplicated()]
    found = _recording_keys(pd.Series(trials.names.to_pylist(), dtype=object), parts).map(known)
    missing = found.isna()
    if missing.any():
        print(
            f"trial list {name} is left out: {missing.sum():,} of its {len(found):,} recordings are not "
            f"there, such as {trials.names[int(missing.to_numpy().argmax())]} of {file}"
        )
        return None
    return replace(trials, names=pa.array(found.tolist(), pa.string()), published_sha256=trials.sha256())
