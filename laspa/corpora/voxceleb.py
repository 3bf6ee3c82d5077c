"""VoxCeleb1 and 2: from disk or fetched, with official splits, trial lists and language labels.

Nagrani et al., Voxceleb: Large-scale Speaker Verification in the Wild, Computer Speech and Language 2020.
Labels of language: Nam et al., Disentangled Representation Learning for Multilingual Speaker Recognition,
Interspeech 2023 (VoxCeleb1-B).
"""

import csv
import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from laspa.corpora.corpus import INDEX_COLUMNS, Complete, Corpus, Licence, Listing, OfficialList
from laspa.corpora.download.fetch import CHECKSUMS, RemoteFile, fetch
from laspa.corpora.download.fetched import FetchedCorpus, accept_licence, downloads, fetch_corpus
from laspa.corpora.scan import corpus_folder, read_table, walk
from laspa.errors import LaspaError
from laspa.manifest.language_codes import UNDETERMINED
from laspa.params import Download, Params, VoxCeleb

META = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta"
META_MIRROR = "https://mm.kaist.ac.kr/datasets/voxceleb/meta"
BILINGUAL = "https://mm.kaist.ac.kr/projects/voxceleb1-b"
LANGUAGE_LABELS = "vox1_lang_label.csv"
# Lists O, E and H as cleaned by their publisher.
TRIAL_LISTS = {
    "voxceleb1-o": "veri_test2.txt",
    "voxceleb1-e": "list_test_all2.txt",
    "voxceleb1-h": "list_test_hard2.txt",
}
BILINGUAL_LIST = {"voxceleb1-b": "list_test_bilingual.txt"}
VOXSRC_LIST = {"voxsrc2021-val": "voxsrc2021_val.txt"}  # also between recordings of VoxCeleb1; not fetched
SUFFIXES = {".wav", ".m4a", ".flac"}
RECORDING = re.compile(r"(?:^|/)(?P<key>(?P<speaker>id\d{5})/(?P<video>[^/]+)/\d+)\.\w+$")
SPLITS = {"dev": "train", "test": "test"}  # the publisher's dev set is what the field trains on
FILE_COLUMNS = ("filename", "file", "path", "utterance", "video", "speaker")
LANGUAGE_COLUMNS = ("label", "language", "lang")
SHOWN = 5  # names in an error
# MD5 of the archives' parts, as published beside them.
VOX1_DEV = {
    "vox1_dev_wav_partaa": "e395d020928bc15670b570a21695ed96",
    "vox1_dev_wav_partab": "bbfaaccefab65d82b21903e81a8a8020",
    "vox1_dev_wav_partac": "017d579a2a96a077f40042ec33e51512",
    "vox1_dev_wav_partad": "7bb1e9f70fddc7a678fa998ea8b3ba19",
}
VOX1_TEST = {"vox1_test_wav.zip": "185fdc63c3c739954633d50379a3d102"}
VOX2_DEV = {
    "vox2_dev_aac_partaa": "da070494c573e5c0564b1d11c3b20577",
    "vox2_dev_aac_partab": "17fe6dab2b32b48abaf1676429cdd06f",
    "vox2_dev_aac_partac": "1de58e086c5edf63625af1cb6d831528",
    "vox2_dev_aac_partad": "5a043eb03e15c5a918ee6a52aad477f9",
    "vox2_dev_aac_partae": "cea401b624983e2d0b2a87fb5d59aa60",
    "vox2_dev_aac_partaf": "fc886d9ba90ab88e7880ee98effd6ae9",
    "vox2_dev_aac_partag": "d160ecc3f6ee3eed54d55349531cb42e",
    "vox2_dev_aac_partah": "6b84a81b9af72a9d9eecbb3b1f602e65",
}
VOX2_TEST = {"vox2_test_aac.zip": "0d2b3ea430a821c33263b5ea37ede312"}
LICENCE = Licence("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/")
CITATION = (
    "Nagrani et al., Voxceleb: Large-scale Speaker Verification in the Wild, "
    "Computer Speech and Language 60, 2020"
)


class Edition(NamedTuple):
    """What tells VoxCeleb1 and 2 apart: metadata, lists beside it, the archives of each set, trial lists."""

    name: str
    metadata: str
    lists: tuple[RemoteFile, ...]
    archives: dict[str, dict[str, str]]
    trials: dict[str, str]


def _meta_file(name: str) -> RemoteFile:
    return RemoteFile(f"{META}/{name}", name, mirrors=(f"{META_MIRROR}/{name}",))


VOX1 = Edition(
    "voxceleb1",
    "vox1_meta.csv",
    (
        *(_meta_file(name) for name in ("vox1_meta.csv", *TRIAL_LISTS.values())),
        *(RemoteFile(f"{BILINGUAL}/{name}", name) for name in (LANGUAGE_LABELS, *BILINGUAL_LIST.values())),
    ),
    {"dev": VOX1_DEV, "test": VOX1_TEST},
    TRIAL_LISTS | BILINGUAL_LIST | VOXSRC_LIST,
)
VOX2 = Edition(
    "voxceleb2", "vox2_meta.csv", (_meta_file("vox2_meta.csv"),), {"dev": VOX2_DEV, "test": VOX2_TEST}, {}
)


def fetched(edition: Edition, address: str) -> FetchedCorpus:
    """What is fetched: lists, and from `address`, where one is given, the archives."""

    def archives(_: Path) -> list[list[RemoteFile]]:
        base = address.rstrip("/")
        return [
            [RemoteFile(f"{base}/{name}", f"{part}/{name}", checksum=f"md5:{md5}", credentials="VOXCELEB")
             for name, md5 in files.items()]
            for part, files in (edition.archives.items() if address else ())
        ]  # fmt: skip

    return FetchedCorpus(edition.name, LICENCE, CITATION, edition.lists, archives)


def list_recordings(edition: Edition, settings: VoxCeleb, options: Download, root: Path) -> Listing:
    """The recordings on disk, or fetched from `settings.archives`, with official splits and genders.

    The publisher's dev set is the split train, of which the manifest sets speakers aside for dev;
    `settings.splits` may make all speakers the split test. Languages come from `settings.languages`; where
    that is empty, VoxCeleb1's from the labels of VoxCeleb1-B, and VoxCeleb2's are left undetermined (`und`)
    for the stage `label`.

    Raises:
        LaspaError: a folder without recordings, or one that misses speakers of a set that it holds others
            of; a table that lacks what is needed.
    """
    name = edition.name
    if settings.archives and not settings.path:
        folder, base = (
            fetch_corpus(fetched(edition, settings.archives), options, root),
            f"{options.folder}/{name}/unpacked",
        )
    else:
        holds = "idNNNNN/VIDEO/NNNNN.wav or .m4a"
        folder, base = corpus_folder(name, f"{name}.path", settings.path, root, holds), settings.path
    metadata = _read_metadata(_list_file(edition, edition.metadata, folder, options, root))
    found = [
        (path, size, match) for path, size in walk(folder, SUFFIXES) if (match := RECORDING.search(path))
    ]
    if not found:
        raise LaspaError(
            f"{folder}: no recording idNNNNN/VIDEO/NNNNN with one of {', '.join(sorted(SUFFIXES))} at any "
            f"depth; is {name}.path in params.yaml the right folder, and are the archives unpacked?"
        )
    keys = pd.Series([match["key"] for _, _, match in found])
    speakers = keys.str.partition("/")[0]
    _check_speakers(speakers, metadata, folder, edition)
    rows = pd.DataFrame(
        {
            "path": [f"{name}/{path}" for path, _, _ in found],
            "speaker": speakers,
            "language": _languages(edition, settings, keys, folder, options, root),
            "gender": speakers.map(metadata["gender"]),
            "split": "test" if settings.splits == "test" else speakers.map(metadata["split"]),
            "bytes": [size for _, size, _ in found],
        },
        columns=[*INDEX_COLUMNS, "bytes"],
    )
    return Listing(rows, {name: base}, _official_lists(edition, folder, options, root))


def _official_lists(edition: Edition, folder: Path, options: Download, root: Path) -> dict[str, OfficialList]:
    """The trial lists that are there; those missing are fetched once the licence is accepted."""
    published = {file.path for file in edition.lists}
    lists = {}
    for name, file in edition.trials.items():
        found = _beside(edition, file, folder, options, root)
        if found is None and file in published:
            if edition.name not in options.accept_licences:
                print(
                    f"trial list {name} is left out: {file} is neither in {folder} nor beside it; put it "
                    f"there, or add {edition.name} to download.accept_licences in params.yaml to fetch it"
                )
                continue
            found = _list_file(edition, file, folder, options, root)
        if found is not None:
            lists[name] = OfficialList(found)
    return lists


def _beside(edition: Edition, name: str, folder: Path, options: Download, root: Path) -> Path | None:
    places = (folder, folder.parent, downloads(fetched(edition, ""), options, root))
    return next((place / name for place in places if (place / name).is_file()), None)


def _list_file(edition: Edition, name: str, folder: Path, options: Download, root: Path) -> Path:
    """Beside the recordings where it stands there, else fetched."""
    if (found := _beside(edition, name, folder, options, root)) is not None:
        return found
    corpus = fetched(edition, "")
    accept_licence(corpus, options)
    fetch(corpus.lists, downloads(corpus, options, root), root / CHECKSUMS, options, edition.name)
    return downloads(corpus, options, root) / name


def _read_metadata(file: Path) -> pd.DataFrame:
    """Gender and split by speaker; the one table is separated by tabs, the other by commas among blanks."""
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    separator = "\t" if lines and "\t" in lines[0] else ","
    cells = [[cell.strip() for cell in line] for line in csv.reader(lines, delimiter=separator) if line]
    header = [column.lower() for column in cells[0]] if cells else []
    wanted = {"speaker": next((name for name in header if name.startswith("voxceleb")), "VoxCeleb ID"),
              "gender": "gender", "split": "set"}  # fmt: skip
    missing = [name for name in wanted.values() if name not in header]
    if missing:
        raise LaspaError(
            f"{file}: no column {', '.join(missing)}; it has {', '.join(cells[0]) if cells else 'no line'}"
        )
    table = pd.DataFrame(
        {new: [row[header.index(old)] if len(row) == len(header) else "" for row in cells[1:]]
         for new, old in wanted.items()}
    )  # fmt: skip
    for number, row in enumerate(table.itertuples(index=False), start=2):
        if not re.fullmatch(r"id\d{5}", row.speaker) or row.split not in SPLITS or row.gender not in "fm":
            raise LaspaError(
                f"{file}, line {number}: {row.speaker!r}, {row.gender!r}, {row.split!r} should be a speaker "
                "idNNNNN, f or m, and dev or test"
            )
    return table.assign(split=table["split"].map(SPLITS)).set_index("speaker")


def _check_speakers(speakers: pd.Series, metadata: pd.DataFrame, folder: Path, edition: Edition) -> None:
    """Each speaker is known, and of a set that is there at all, every speaker is."""
    there = set(speakers)
    unknown = sorted(there - set(metadata.index))
    if unknown:
        raise LaspaError(
            f"{folder}: {', '.join(unknown[:SHOWN])} {'are' if len(unknown) > 1 else 'is'} not in "
            f"{edition.metadata}; is this {edition.name}?"
        )
    for split, members in metadata.groupby("split").groups.items():
        missing = sorted(set(members) - there)
        if missing and len(missing) < len(members):
            raise LaspaError(
                f"{folder}: {len(missing)} of {len(members)} {split} speakers of {edition.metadata} have no "
                f"recording: {', '.join(missing[:SHOWN])}; unpack the archives anew, or take the "
                "speakers that you do not want out of the table"
            )


def _languages(
    edition: Edition, settings: VoxCeleb, keys: pd.Series, folder: Path, options: Download, root: Path
) -> pd.Series:
    """A language for each `speaker/video/number`: labelled by itself, by its video or by its speaker."""
    if settings.languages:
        file = root / settings.languages
    elif edition is VOX1:
        file = _list_file(edition, LANGUAGE_LABELS, folder, options, root)
    else:
        print(f"{edition.name}: no labels of language; the stage label gives them")
        return pd.Series(UNDETERMINED, index=keys.index)
    table = read_table(file, [])
    columns = [
        next((name for name in names if name in table), "") for names in (FILE_COLUMNS, LANGUAGE_COLUMNS)
    ]
    if "" in columns:
        raise LaspaError(
            f"{file}: needs a column of {', '.join(FILE_COLUMNS)} and one of {', '.join(LANGUAGE_COLUMNS)}; "
            f"it has {', '.join(table.columns)}"
        )
    labels = dict(
        zip(table[columns[0]].str.replace(r"\.\w+$", "", regex=True), table[columns[1]], strict=True)
    )
    videos = keys.str.rpartition("/")[0]
    found = keys.map(labels).fillna(videos.map(labels)).fillna(keys.str.partition("/")[0].map(labels))
    nameless = int(found.isna().sum())
    if nameless:
        print(
            f"{edition.name}: {nameless} of {len(found)} recordings have no label in {file}; they are left "
            f"undetermined ({UNDETERMINED})"
        )
    return found.fillna(UNDETERMINED)


def _corpus(edition: Edition, title: str, complete: Complete) -> Corpus:
    return Corpus(
        edition.name,
        title,
        LICENCE,
        CITATION,
        lambda params, root, _: list_recordings(edition, _settings(edition, params), params.download, root),
        fetched=fetched(edition, ""),
        complete=complete,
    )


def _settings(edition: Edition, params: Params) -> VoxCeleb:
    return params.voxceleb1 if edition is VOX1 else params.voxceleb2


VOXCELEB1 = _corpus(VOX1, "VoxCeleb1", Complete(speakers=1251, utterances=153_516, hours=352))
VOXCELEB2 = _corpus(VOX2, "VoxCeleb2", Complete(speakers=6112, utterances=1_128_246, hours=2442))
