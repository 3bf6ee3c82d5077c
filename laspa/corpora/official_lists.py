"""Official trial lists: from the names that their publishers give recordings to the paths of the index."""

from dataclasses import replace

import pandas as pd
import pyarrow as pa

from laspa.corpora.corpus import OfficialList
from laspa.trials.lists import TrialList, read_list


def recording_keys(paths: pd.Series, parts: int) -> pd.Series:
    """The last `parts` parts of each path, without the suffix."""
    return paths.str.replace(r"\.[^./]+$", "", regex=True).str.split("/").str[-parts:].str.join("/")


def with_paths(name: str, official: OfficialList, paths: pd.Series) -> TrialList | None:
    """The trials of a list between paths of the index; its digest is that of the list in its own names.

    Args:
        paths: of all recordings of the corpus.

    Returns:
        None, and a message that says why, for a list some of whose recordings are missing: figures on a part
        of it would pass for figures on the list.

    Raises:
        LaspaError: not a list of trials with labels.
    """
    trials = read_list(official.file, "voxceleb", keep_duplicates=True)
    known = pd.Series(paths.to_numpy(), index=recording_keys(paths, official.parts))
    known = known[~known.index.duplicated()]
    names = recording_keys(pd.Series(trials.names.to_pylist(), dtype=object), official.parts)
    found = names.map(known)
    missing = found.isna()
    if missing.any():
        print(
            f"trial list {name} is left out: {missing.sum():,} of its {len(found):,} recordings are not "
            f"there, such as {trials.names[int(missing.to_numpy().argmax())]} of {official.file}"
        )
        return None
    return replace(trials, names=pa.array(found.tolist(), pa.string()), published_sha256=trials.sha256())
