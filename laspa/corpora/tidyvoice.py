"""TidyVoiceX: Common Voice's multilingual speakers, cleaned, for verification across languages; from disk.

Farhadipour et al., TidyVoice 2026 Challenge Evaluation Plan, arXiv 2601.21960.
"""

from pathlib import Path

from laspa.corpora.corpus import Complete, Corpus, Licence, Listing, table_of
from laspa.corpora.disk import corpus_folder, first_file, say_list_is_missing, say_passed_over, walk
from laspa.errors import LaspaError

# The evaluation's labels are not public: its dev speakers are the test split, and dev is drawn from train.
SETS = {"train": "train", "dev": "test"}
TRIAL_LIST, LIST_FILE = "tidyvoice-dev", "TidyVoiceX_Dev.txt"


def list_recordings(path: str, root: Path) -> Listing:
    """SPEAKER/LANGUAGE/NAME in the folders of Train and Dev, at any depth; Dev's trial list beside them.

    Raises:
        LaspaError: one of the sets is missing, or not unpacked.
    """
    holds = "TidyVoiceX_Train and TidyVoiceX_Dev"
    folder = corpus_folder("tidyvoice", "tidyvoice.path", path, root, holds)
    rows, others = [], []
    for name, size in walk(folder):
        *above, speaker, language, _ = ("", "", *name.split("/"))
        split = next((split for part in above for key, split in SETS.items() if key in part.lower()), "")
        if split:
            rows.append((f"tidyvoice/{name}", speaker, language, "", split, size))
        else:
            others.append(name)
    say_passed_over(folder, others, f"are in no folder of {' or '.join(SETS)}")
    missing = [key for key, split in SETS.items() if split not in {row[4] for row in rows}]
    if missing:
        packed = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.tar.gz"))
        remedy = f"unpack {', '.join(packed)}" if packed else f"name the folder that holds {holds}"
        raise LaspaError(
            f"{folder}: no recordings SPEAKER/LANGUAGE/NAME in a folder of {' or '.join(missing)}; {remedy}"
        )
    places = [folder, *sorted(folder.glob("*/")), folder.parent]
    official = first_file(place / LIST_FILE for place in places)
    if official is None:
        say_list_is_missing(TRIAL_LIST, LIST_FILE, folder)
    return Listing(table_of(rows), {"tidyvoice": path}, {TRIAL_LIST: official} if official else {})


CORPUS = Corpus(
    name="tidyvoice",
    title="TidyVoiceX",
    licence=Licence("CC0 1.0, as Common Voice", "https://creativecommons.org/publicdomain/zero/1.0/"),
    citation="Farhadipour et al., TidyVoice 2026 Challenge Evaluation Plan, arXiv 2601.21960",
    list_recordings=lambda params, root, _: list_recordings(params.tidyvoice.path, root),
    complete=Complete(speakers=4474, languages=40, hours=457),
)
