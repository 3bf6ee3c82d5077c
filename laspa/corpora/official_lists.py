"""Official trial lists: from the names that their publishers give recordings to the paths of the index."""

import pandas as pd
import pyarrow as pa

from laspa.corpora.corpus import OfficialList
from laspa.trials.lists import digest, read_list


def recording_keys(paths: pd.Series, parts: int) -> pd.Series:
    """The last `parts` parts of each path, without the suffix."""
    return paths.str.replace(r"\.[^./]+$", "", regex=True).str.split("/").str[-parts:].str.join("/")


def with_paths(name: str, official: OfficialList, paths: pd.Series) -> pd.DataFrame | None:
    """The trials of a list between paths of the index, in its order; `attrs` has its SHA-256.

    The digest is of the lines `enroll test 1|0` in the list's own names, so that it is the same wherever the
    recordings stand.

    Args:
        paths: of all recordings of the corpus.

    Returns:
        columns enroll, test and target; None, once it is said why, for a list whose recordings are not all
        there: figures on a part of it would pass for figures on the list.

    Raises:
        LaspaError: no list of trials with labels.
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
    places = pa.array(found.tolist(), pa.string())
    sides = {
        side: pa.DictionaryArray.from_arrays(rows, places)
        for side, rows in (("enroll", trials.enroll), ("test", trials.test))
    }
    table = pa.table(sides | {"target": trials.target}).to_pandas().astype({"enroll": str, "test": str})
    table.attrs["sha256"] = digest(trials)
    return table
