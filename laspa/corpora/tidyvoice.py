"""TidyVoiceX: Common Voice's multilingual speakers, cleaned, for verification across languages; from disk.

Farhadipour et al., TidyVoice 2026 Challenge Evaluation Plan, arXiv 2601.21960.
"""

from pathlib import Path

import pandas as pd

from laspa.corpora.corpus import INDEX_COLUMNS, Complete, Corpus, Licence, Listing, OfficialList
from laspa.corpora.scan import corpus_folder, walk
from laspa.errors import LaspaError

# The evaluation's labels are not public: its dev speakers are tested on, and dev is drawn from train.
SETS = {"train": "train", "dev": "test"}
SUFFIXES = {".wav", ".mp3", ".flac"}
TRIAL_LISTS = {"tidyvoice-dev": "TidyVoiceX_Dev.txt"}


def list_recordings(path: str, root: Path) -> Listing:
    """SPEAKER/LANGUAGE/NAME under the folders of Train and of Dev, at any depth; Dev's trials beside them.

    Raises:
        LaspaError: one of the sets is missing, or only packed.
    """
    holds = "TidyVoiceX_Train and TidyVoiceX_Dev"
    folder = corpus_folder("tidyvoice", "tidyvoice.path", path, root, holds)
    rows = []
    for name, size in walk(folder, SUFFIXES):
        *above, speaker, language, _ = ("", "", *name.split("/"))
        split = next((split for part in above for key, split in SETS.items() if key in part.lower()), "")
        if split:
            rows.append((f"tidyvoice/{name}", speaker, language, "", split, size))
    missing = [key for key, split in SETS.items() if split not in {row[4] for row in rows}]
    if missing:
        packed = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.tar.gz"))
        remedy = f"unpack {', '.join(packed)}" if packed else f"name the folder that holds {holds}"
        raise LaspaError(
            f"{folder}: no recordings SPEAKER/LANGUAGE/NAME in a folder of {' or '.join(missing)}; {remedy}"
        )
    index = pd.DataFrame(rows, columns=[*INDEX_COLUMNS, "bytes"])
    return Listing(index, {"tidyvoice": path}, _official_lists(folder))


def _official_lists(folder: Path) -> dict[str, OfficialList]:
    """The trial lists in `folder`, in a folder of it, or beside it."""
    lists = {}
    for name, file in TRIAL_LISTS.items():
        places = [folder / file, *sorted(folder.glob(f"*/{file}")), folder.parent / file]
        if found := next((place for place in places if place.is_file()), None):
            lists[name] = OfficialList(found)
        else:
            print(f"trial list {name} is left out: {file} is neither in {folder} nor beside it; put it there")
    return lists


CORPUS = Corpus(
    "tidyvoice",
    "TidyVoiceX",
    Licence("CC0 1.0, as Common Voice", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "Farhadipour et al., TidyVoice 2026 Challenge Evaluation Plan, arXiv 2601.21960",
    lambda params, root, _: list_recordings(params.tidyvoice.path, root),
    complete=Complete(speakers=4474, languages=40, hours=457),
)
