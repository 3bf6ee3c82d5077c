"""NISP: 345 speakers of India, each in English and in one of five Indian languages.

Read in two sessions per speaker, at 44.1 kHz.
Kalluri et al., NISP: A Multi-lingual Multi-accent Dataset for Speaker Profiling, arXiv 2007.06021.
"""

import re
from itertools import groupby, product
from pathlib import Path
from string import ascii_lowercase

import pandas as pd

from laspa.corpora.corpus import CC_BY, Complete, Corpus, Listing, RemoteFile, table_of
from laspa.corpora.disk import walk
from laspa.corpora.download.corpora import fetch_corpus
from laspa.errors import LaspaError
from laspa.files import read_json
from laspa.params import Download
from laspa.text import few, lines

RAW = "https://raw.githubusercontent.com/iiscleap/NISP-Dataset/master"
# All files of the repository with their sizes and git blob ids: the only list of the archives' parts.
TREE = "https://api.github.com/repos/iiscleap/NISP-Dataset/git/trees/master?recursive=1"
NATIVE = {"Hindi": "Hin", "Kannada": "Kan", "Malayalam": "Mal", "Tamil": "Tam", "Telugu": "Tel"}
LANGUAGES = {code: code.lower() for code in ("Eng", *NATIVE.values())}  # ISO 639-3
SPLIT_LISTS = {"train": "train_spkrID", "test": "test_spkrID"}
ARCHIVES = [f"{native}_master/{name}" for native in NATIVE for name in (native, f"English_{native}")]
PART = re.compile(r"\w+_master/(?:English_)?\w+/RECS\.tar\.gz\.[a-z]{2}")
RECORDING = re.compile(
    rf"(?:.*/)?(?P<speaker>(?:{'|'.join(NATIVE.values())})_\d{{4}})_(?P<language>{'|'.join(LANGUAGES)})"
    r"_(?P<gender>[fm])_\d+\.wav"
)


def _archives(folder: Path) -> list[list[RemoteFile]]:
    """The parts of each archive, aa, ab, …, from the repository's tree.

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
    archives = {name: list(parts) for name, parts in groupby(found, lambda part: str(Path(part.path).parent))}
    missing = {name.lower() for name in ARCHIVES} - {name.lower() for name in archives}
    if missing or tree.get("truncated"):
        raise LaspaError(
            f"{folder / 'tree.json'}: names no RECS.tar.gz.aa of {', '.join(sorted(missing)) or 'all'}; "
            "the repository has changed, or the answer was cut: delete this file and run again"
        )
    for name, parts in archives.items():
        for part, letters in zip(parts, product(ascii_lowercase, repeat=2), strict=False):
            if not part.path.endswith(suffix := "".join(letters)):
                raise LaspaError(
                    f"{folder / 'tree.json'}: {name} has no part RECS.tar.gz.{suffix}, but {part.path}; "
                    "delete this file and run again"
                )
    return list(archives.values())


def list_recordings(options: Download, root: Path) -> Listing:
    """Fetch NISP and list its recordings, which stay with the downloads.

    The official test speakers are the test split. The stage `manifest` takes the dev speakers from the
    official training speakers.

    Raises:
        LaspaError: what fetching raises, recordings that the lists do not name, or a speaker in both lists.
    """
    audio = fetch_corpus(CORPUS, options, root)
    rows = _rows(audio, _splits(audio.parent), f"nisp/{audio.name}")
    return Listing(rows, {"nisp": f"{options.folder}/nisp"})


def _rows(audio: Path, splits: dict[str, str], prefix: str) -> pd.DataFrame:
    """One row per recording, from the files' names and the speakers' splits."""
    found = [(path, size, RECORDING.fullmatch(path)) for path, size in walk(audio)]
    strange = [path for path, _, match in found if not match]
    if strange or not found:
        raise LaspaError(
            f"{audio}: {len(strange)} of {len(found)} recordings are not named like Hin_0001_Eng_f_0000.wav: "
            f"{few(strange) or 'no WAV at all'}; delete the folder of the archive that holds them and run "
            "again"
        )
    rows = []
    for path, size, match in found:
        speaker, language, gender = match.groups()  # type: ignore[union-attr]
        if speaker not in splits:
            raise LaspaError(
                f"{path}: speaker {speaker} is in neither of {', '.join(SPLIT_LISTS.values())} in "
                f"{audio.parent}; delete those and run again to fetch them anew"
            )
        rows.append((f"{prefix}/{path}", speaker, LANGUAGES[language], gender, splits[speaker], size))
    silent = sorted(set(splits) - {row[1] for row in rows})
    if silent:
        print(f"{len(silent)} of {len(splits)} listed speakers have no recording: {few(silent)}")
    return table_of(rows)


def _splits(lists: Path) -> dict[str, str]:
    """The split of every speaker; a line of a list is `Hin_0002___TRN`."""
    splits: dict[str, str] = {}
    for split, name in SPLIT_LISTS.items():
        for number, fields in lines(lists / name):
            speaker = "_".join(fields[0].split("_")[:2])
            if splits.setdefault(speaker, split) != split:
                raise LaspaError(
                    f"{lists / name}:{number}: {speaker} is in {SPLIT_LISTS[splits[speaker]]} "
                    "too; a speaker belongs to one split"
                )
    return splits


CORPUS = Corpus(
    name="nisp",
    title="NISP",
    licence=CC_BY,
    citation="Kalluri et al., NISP: A Multi-lingual Multi-accent Dataset for Speaker Profiling, "
    "arXiv 2007.06021",
    lists=(
        RemoteFile(TREE, "tree.json", pin=False),
        *(RemoteFile(f"{RAW}/{name}", name) for name in SPLIT_LISTS.values()),
    ),
    archives=_archives,
    announced=tuple(f"{RAW}/{name}/RECS.tar.gz.aa, ab, …" for name in ARCHIVES),
    list_recordings=lambda params, root, _: list_recordings(params.download, root),
    complete=Complete(speakers=345, languages=6),
)
