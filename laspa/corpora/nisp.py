"""NISP: 345 speakers of India, each in English and in one of five languages of the country.

Read in two sessions a speaker, at 44.1 kHz; height, weight and other details are not used here.
Kalluri et al., NISP: A Multi-lingual Multi-accent Dataset for Speaker Profiling, arXiv 2007.06021.
"""

import re
from itertools import groupby
from pathlib import Path

import pandas as pd

from laspa.corpora.corpus import INDEX_COLUMNS, Complete, Corpus, Licence, Listing
from laspa.corpora.download.fetch import RemoteFile
from laspa.corpora.download.fetched import FetchedCorpus, fetch_corpus
from laspa.errors import LaspaError
from laspa.files import read_json
from laspa.params import Download

RAW = "https://raw.githubusercontent.com/iiscleap/NISP-Dataset/master"
# All files of the repository with their sizes and git blob ids: the archives' parts are known from it alone.
TREE = "https://api.github.com/repos/iiscleap/NISP-Dataset/git/trees/master?recursive=1"
NATIVE = {"Hindi": "Hin", "Kannada": "Kan", "Malayalam": "Mal", "Tamil": "Tam", "Telugu": "Tel"}
LANGUAGES = {"Eng": "eng"} | {code: code.lower() for code in NATIVE.values()}  # ISO 639-3
SPLIT_LISTS = {"train": "train_spkrID", "test": "test_spkrID"}
PART = re.compile(r"((?P<native>\w+)_master/(?:English_)?\w+)/RECS\.tar\.gz\.[a-z]{2}")
RECORDING = re.compile(
    r"(?P<speaker>(?P<native>[A-Z][a-z]{2})_\d{4})_(?P<language>[A-Z][a-z]{2})_(?P<gender>[fm])_\d+\.wav"
)
SHOWN = 5  # files that an error names


def _archives(folder: Path) -> list[list[RemoteFile]]:
    """The parts of each archive, aa, ab, …, out of the repository's tree.

    Raises:
        LaspaError: a tree without an archive of each language, or with a part missing between others.
    """
    tree = read_json(folder / "tree.json")
    found = sorted(
        (
            RemoteFile(f"{RAW}/{entry['path']}", entry["path"], entry["size"], f"git:{entry['sha']}")
            for entry in tree.get("tree", [])
            if PART.fullmatch(entry["path"])
        ),
        key=lambda part: part.path,
    )
    archives = [list(parts) for _, parts in groupby(found, _archive_of)]
    names = {_archive_of(parts[0]).lower() for parts in archives}
    wanted = {
        f"{native}_master/{name}".lower() for native in NATIVE for name in (native, f"English_{native}")
    }
    if wanted - names or tree.get("truncated"):
        missing = ", ".join(sorted(wanted - names)) or "all"
        raise LaspaError(
            f"{folder / 'tree.json'}: names no RECS.tar.gz.aa of {missing}; "
            "the repository has changed, or the answer was cut: delete this file and run again"
        )
    for parts in archives:
        for number, part in enumerate(parts):
            suffix = f"{chr(ord('a') + number // 26)}{chr(ord('a') + number % 26)}"
            if not part.path.endswith(suffix):
                raise LaspaError(
                    f"{folder / 'tree.json'}: {_archive_of(part)} has no part RECS.tar.gz.{suffix}, but "
                    f"{part.path}; delete this file and run again"
                )
    return archives


def _archive_of(part: RemoteFile) -> str:
    return part.path.rpartition("/")[0]


NISP = FetchedCorpus(
    "nisp",
    Licence("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
    "Kalluri et al., NISP: A Multi-lingual Multi-accent Dataset for Speaker Profiling, arXiv 2007.06021",
    (
        RemoteFile(TREE, "tree.json", pin=False),
        *(RemoteFile(f"{RAW}/{name}", name) for name in SPLIT_LISTS.values()),
    ),
    _archives,
    announced=tuple(
        f"{RAW}/{native}_master/{name}/RECS.tar.gz.aa, ab, …"
        for native in NATIVE
        for name in (native, f"English_{native}")
    ),
)


def list_recordings(options: Download, root: Path) -> Listing:
    """Fetch NISP and list its recordings, which stay with the downloads.

    The official test speakers are the test split. Of the official training speakers the stage
    `manifest` sets some aside for dev.

    Raises:
        LaspaError: what fetching raises, recordings that the lists do not know, or a speaker in both lists.
    """
    audio = fetch_corpus(NISP, options, root)
    rows = read_index(audio, audio.parent)
    rows["path"] = f"{NISP.name}/{audio.name}/" + rows["path"]
    return Listing(rows, {NISP.name: f"{options.folder}/{NISP.name}"})


def read_index(audio: Path, lists: Path) -> pd.DataFrame:
    """The rows of index.csv, by path in `audio`, out of the files' names and the two speaker lists."""
    splits = _splits(lists)
    files = sorted(audio.rglob("*.wav"))
    found = [(file, RECORDING.fullmatch(file.name)) for file in files]
    strange = [
        file.relative_to(audio).as_posix()
        for file, match in found
        if not match or match["native"] not in NATIVE.values() or match["language"] not in LANGUAGES
    ]
    if strange or not files:
        shown = ", ".join(strange[:SHOWN]) or "no WAV at all"
        raise LaspaError(
            f"{audio}: {len(strange)} of {len(files)} recordings are not named like Hin_0001_Eng_f_0000.wav: "
            f"{shown}; delete the folder of the archive that holds them and run again"
        )
    rows = []
    for file, match in found:
        assert match is not None
        speaker = match["speaker"]
        if speaker not in splits:
            raise LaspaError(
                f"{file.relative_to(audio)}: speaker {speaker} stands in neither of "
                f"{', '.join(SPLIT_LISTS.values())} in {lists}; delete those and run again to fetch them anew"
            )
        path = file.relative_to(audio).as_posix()
        language = LANGUAGES[match["language"]]
        rows.append((path, speaker, language, match["gender"], splits[speaker], file.stat().st_size))
    silent = sorted(set(splits) - {row[1] for row in rows})
    if silent:
        print(
            f"{len(silent)} of {len(splits)} listed speakers have no recording: {', '.join(silent[:SHOWN])}"
        )
    return pd.DataFrame(rows, columns=[*INDEX_COLUMNS, "bytes"])


def _splits(lists: Path) -> dict[str, str]:
    """The split of every speaker; a line of a list is `Hin_0002___TRN`."""
    splits: dict[str, str] = {}
    for split, name in SPLIT_LISTS.items():
        for number, line in enumerate((lists / name).read_text(encoding="utf-8").split(), start=1):
            speaker = "_".join(line.split("_")[:2])
            if splits.get(speaker, split) != split:
                raise LaspaError(
                    f"{lists / name}, line {number}: {speaker} stands in {SPLIT_LISTS[splits[speaker]]} "
                    "too; a speaker belongs to one split"
                )
            splits[speaker] = split
    return splits


CORPUS = Corpus(
    NISP.name,
    "NISP",
    NISP.licence,
    NISP.citation,
    lambda params, root, _: list_recordings(params.download, root),
    fetched=NISP,
    complete=Complete(speakers=345, languages=6),
)
