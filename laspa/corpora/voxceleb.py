"""VoxCeleb1 and 2: from disk or fetched, with official splits, trial lists and language labels.

Nagrani et al., Voxceleb: Large-scale Speaker Verification in the Wild, Computer Speech and Language 2020.
Labels of language: Nam et al., Disentangled Representation Learning for Multilingual Speaker Recognition,
Interspeech 2023 (VoxCeleb1-B).
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pandas as pd

from laspa.corpora.corpus import CC_BY, Complete, Corpus, Listing, RemoteFile, Source
from laspa.corpora.disk import (
    corpus_folder,
    first_file,
    one_format_each,
    say_list_is_missing,
    say_passed_over,
    walk,
)
from laspa.corpora.download.corpora import downloads, fetch_corpus, fetch_lists
from laspa.errors import LaspaError
from laspa.manifest.index import UNDETERMINED
from laspa.params.corpora import Download, VoxCeleb
from laspa.text import few, read_table

META = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta"
MIRROR = "https://mm.kaist.ac.kr/datasets/voxceleb/meta"
BILINGUAL = "https://mm.kaist.ac.kr/projects/voxceleb1-b"
LANGUAGE_LABELS = "vox1_lang_label.csv"
TRIAL_LISTS = {
    "voxceleb1": {
        "voxceleb1-o": "veri_test2.txt",  # O, E and H as cleaned by their publisher
        "voxceleb1-e": "list_test_all2.txt",
        "voxceleb1-h": "list_test_hard2.txt",
        "voxceleb1-b": "list_test_bilingual.txt",
        "voxsrc2021-val": "voxsrc2021_val.txt",  # also between recordings of VoxCeleb1; not fetched
    }
}
KEY = re.compile(r"(?:^|/)(id\d{5}/[^/]+/\d+)\.\w+$")  # speaker/video/number
SPLITS = {"dev": "train", "test": "test"}  # the publisher's dev set is what the field trains on
FILE_COLUMNS = ("filename", "file", "path", "utterance", "video", "speaker")
LANGUAGE_COLUMNS = ("label", "language", "lang")
CITATION = (
    "Nagrani et al., Voxceleb: Large-scale Speaker Verification in the Wild, "
    "Computer Speech and Language 60, 2020"
)
AnyCorpus = TypeVar("AnyCorpus", bound=Source)

# MD5 of the archives' parts, as published beside them.
ARCHIVES = {
    "voxceleb1": {
        "dev": {
            "vox1_dev_wav_partaa": "e395d020928bc15670b570a21695ed96",
            "vox1_dev_wav_partab": "bbfaaccefab65d82b21903e81a8a8020",
            "vox1_dev_wav_partac": "017d579a2a96a077f40042ec33e51512",
            "vox1_dev_wav_partad": "7bb1e9f70fddc7a678fa998ea8b3ba19",
        },
        "test": {"vox1_test_wav.zip": "185fdc63c3c739954633d50379a3d102"},
    },
    "voxceleb2": {
        "dev": {
            "vox2_dev_aac_partaa": "da070494c573e5c0564b1d11c3b20577",
            "vox2_dev_aac_partab": "17fe6dab2b32b48abaf1676429cdd06f",
            "vox2_dev_aac_partac": "1de58e086c5edf63625af1cb6d831528",
            "vox2_dev_aac_partad": "5a043eb03e15c5a918ee6a52aad477f9",
            "vox2_dev_aac_partae": "cea401b624983e2d0b2a87fb5d59aa60",
            "vox2_dev_aac_partaf": "fc886d9ba90ab88e7880ee98effd6ae9",
            "vox2_dev_aac_partag": "d160ecc3f6ee3eed54d55349531cb42e",
            "vox2_dev_aac_partah": "6b84a81b9af72a9d9eecbb3b1f602e65",
        },
        "test": {"vox2_test_aac.zip": "0d2b3ea430a821c33263b5ea37ede312"},
    },
}


def list_recordings(corpus: Corpus, settings: VoxCeleb, options: Download, root: Path) -> Listing:
    """The recordings on disk, or fetched from `settings.archives`, with official splits and genders.

    The publisher's dev set is the split train, from which the manifest takes the dev speakers;
    `settings.splits` may put all speakers in the split test. Languages come from `settings.languages`.
    If that is empty, VoxCeleb1's come from the labels of VoxCeleb1-B, and VoxCeleb2's are left
    undetermined (`und`) for the stage `label`.

    Raises:
        LaspaError: a folder without recordings, or with only some speakers of a set; a table that lacks
            what is needed.
    """
    name, published = corpus.name, [file.path for file in corpus.lists]
    if settings.archives and not settings.path:
        folder = fetch_corpus(with_archives(corpus, settings.archives), options, root)
        place = f"{options.folder}/{name}/{folder.name}"
    else:
        holds = "idNNNNN/VIDEO/NNNNN.wav or .m4a"
        folder, place = corpus_folder(name, f"{name}.path", settings.path, root, holds), settings.path

    def beside(file: str) -> Path | None:
        places = (folder, folder.parent, downloads(corpus, options, root))
        return first_file(place / file for place in places)

    def needed(file: str) -> Path:
        """A file beside the recordings, or fetched."""
        return beside(file) or fetch_lists(corpus, options, root) / file

    metadata_file = needed(published[0])
    metadata = _read_metadata(metadata_file)
    found = pd.DataFrame(walk(folder), columns=["path", "bytes"])
    found["key"] = found["path"].str.extract(KEY)[0]
    is_named = found["key"].notna()
    if not is_named.any():
        raise LaspaError(
            f"{folder}: no recording idNNNNN/VIDEO/NNNNN, such as id10001/1zcIwhmdeo4/00001.wav, at any "
            f"depth; is {name}.path in params.yaml the right folder, and are the archives unpacked?"
        )
    say_passed_over(folder, found.loc[~is_named, "path"].tolist(), "are not named idNNNNN/VIDEO/NNNNN")
    found = found[is_named].assign(speaker=found["key"].str.partition("/")[0])
    skip = settings.on_absent_speaker == "skip"
    _check_speakers(set(found["speaker"]), metadata, metadata_file.name, folder, name, skip)
    found = found[found["speaker"].isin(metadata.index)].reset_index(drop=True)
    labels = root / settings.languages if settings.languages else None
    if not labels and LANGUAGE_LABELS in published:
        labels = needed(LANGUAGE_LABELS)
    found["language"] = _languages(name, found["key"], labels)
    found["path"] = f"{name}/" + found["path"]
    found = found.join(metadata, on="speaker")
    if settings.splits == "test":
        found["split"] = "test"
    rows = one_format_each(found, found.pop("key"), name)
    lists = {}
    for title, file in TRIAL_LISTS.get(name, {}).items():
        if (at := beside(file)) or (file in published and name in options.accept_licences):
            lists[title] = at or needed(file)
        elif file in published:
            remedy = f", or add {name} to download.accept_licences in params.yaml to fetch it"
            say_list_is_missing(title, file, folder, remedy)
    return Listing(rows, {name: place}, lists)


def with_archives(corpus: AnyCorpus, address: str) -> AnyCorpus:
    """VoxCeleb1 or 2 with the archives that lie at `address`; where that is empty, as it is."""
    if not address:
        return corpus
    start = address.rstrip("/")
    archives = [
        [
            RemoteFile(f"{start}/{file}", f"{part}/{file}", checksum=f"md5:{md5}", credentials="VOXCELEB")
            for file, md5 in files.items()
        ]
        for part, files in ARCHIVES[corpus.name].items()
    ]
    return replace(corpus, archives=lambda _: archives)


def _read_metadata(file: Path) -> pd.DataFrame:
    """Gender and split by speaker. VoxCeleb1's table has tabs, VoxCeleb2's commas with blanks around them."""
    rows = read_table(file, [])
    names = {name.lower(): name for name in rows}
    speaker = next((name for name in names if name.startswith("voxceleb")), "VoxCeleb ID")
    missing = [name for name in (speaker, "gender", "set") if name not in names]
    if missing:
        raise LaspaError(f"{file}: no column {', '.join(missing)}; it has {', '.join(rows) or 'no line'}")
    table = rows[[names[speaker], names["gender"], names["set"]]]
    table = table.set_axis(["speaker", "gender", "split"], axis=1)
    fits = table["speaker"].str.fullmatch(r"id\d{5}") & table["gender"].isin(["f", "m"])
    wrong = table[~(fits & table["split"].isin(SPLITS))]
    if len(wrong):
        number, *fields = next(wrong.itertuples(name=None))
        raise LaspaError(
            f"{file}:{number}: {', '.join(map(repr, fields))} should be a speaker idNNNNN, f or m, and "
            "dev or test"
        )
    table = table.drop_duplicates("speaker", keep="last").set_index("speaker")
    return table.assign(split=table["split"].map(SPLITS))


def _check_speakers(
    there: set[str], metadata: pd.DataFrame, file: str, folder: Path, corpus: str, skip: bool
) -> None:
    """Every speaker is in the metadata, and a set is complete or not there at all; or it is told who is not.

    Args:
        there: the speakers with recordings. skip: go on without those that only one of both has.
    """
    leave_out = f"set {corpus}.on_absent_speaker to skip in params.yaml to go on without"
    unknown = sorted(there - set(metadata.index))
    if unknown and (not skip or len(unknown) == len(there)):
        are = "are" if len(unknown) > 1 else "is"
        raise LaspaError(
            f"{folder}: {few(unknown)} {are} not in {file}; is this {corpus}? If it is, {leave_out}"
        )
    if unknown:
        print(f"{folder}: {len(unknown)} speakers are left out, who are not in {file}: {few(unknown)}")
    for split, members in metadata.groupby("split").groups.items():
        missing = sorted(set(members) - there)
        if missing and len(missing) < len(members):
            count = f"{len(missing)} of {len(members)} {split} speakers"
            what = f"{count} of {file} have no recording: {few(missing)}"
            if not skip:
                raise LaspaError(f"{folder}: {what}; unpack the archives anew, or {leave_out}")
            print(f"{folder}: {what}; they are left out")


def _languages(name: str, keys: pd.Series, file: Path | None) -> pd.Series:
    """A language for each `speaker/video/number`: from its own label, its video's or its speaker's."""
    if file is None:
        print(f"{name}: no labels of language; the stage label gives them")
        return pd.Series(UNDETERMINED, index=keys.index)
    table = read_table(file, [])
    labelled = next((column for column in FILE_COLUMNS if column in table), None)
    language = next((column for column in LANGUAGE_COLUMNS if column in table), None)
    if labelled is None or language is None:
        raise LaspaError(
            f"{file}: needs a column of {', '.join(FILE_COLUMNS)} and one of {', '.join(LANGUAGE_COLUMNS)}; "
            f"it has {', '.join(table.columns)}"
        )
    without_suffix = table[labelled].str.replace(r"\.\w+$", "", regex=True)
    labels = dict(zip(without_suffix, table[language], strict=True))
    videos, speakers = keys.str.rpartition("/")[0], keys.str.partition("/")[0]
    found = keys.map(labels).fillna(videos.map(labels)).fillna(speakers.map(labels))
    if found.isna().any():
        print(
            f"{name}: {found.isna().sum()} of {len(found)} recordings have no label in {file}; they are left "
            f"undetermined ({UNDETERMINED})"
        )
    return found.fillna(UNDETERMINED)


def _corpus(title: str, lists: dict[str, tuple[str, ...]], complete: Complete) -> Corpus:
    """One of both corpora; `lists` has the addresses of each file's folder, the first of them its own."""
    name = title.lower()
    corpus: Corpus = Corpus(
        name=name,
        title=title,
        licence=CC_BY,
        citation=CITATION,
        lists=tuple(
            RemoteFile(f"{address}/{file}", file, mirrors=tuple(f"{mirror}/{file}" for mirror in mirrors))
            for file, (address, *mirrors) in lists.items()
        ),
        list_recordings=lambda params, root, _: list_recordings(
            corpus, getattr(params, name), params.download, root
        ),
        complete=complete,
    )
    return corpus


OFFICIAL = ("vox1_meta.csv", "veri_test2.txt", "list_test_all2.txt", "list_test_hard2.txt")
VOXCELEB1 = _corpus(
    "VoxCeleb1",
    dict.fromkeys(OFFICIAL, (META, MIRROR))
    | dict.fromkeys((LANGUAGE_LABELS, "list_test_bilingual.txt"), (BILINGUAL,)),
    Complete(speakers=1251, utterances=153_516, hours=352),
)
VOXCELEB2 = _corpus(
    "VoxCeleb2",
    {"vox2_meta.csv": (META, MIRROR)},
    Complete(speakers=6112, utterances=1_128_246, hours=2442),
)
