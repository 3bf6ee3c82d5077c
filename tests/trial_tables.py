"""Trial lists as data frames and back, for tests that look at them row by row."""

from dataclasses import replace

import pandas as pd
import pyarrow as pa

from laspa.trials.lists import TrialList, trials_of_table


def frame(trials: TrialList) -> pd.DataFrame:
    """Columns enroll, test, target and the relations."""
    names = trials.names.to_numpy(zero_copy_only=False)
    columns = {"enroll": names[trials.enroll], "test": names[trials.test], "target": trials.target}
    return pd.DataFrame(columns | trials.relations)


def trial_list(table: pd.DataFrame, published_sha256: str = "") -> TrialList:
    """The trials of a frame with these columns."""
    found = trials_of_table("made up", pa.Table.from_pandas(table, preserve_index=False))
    return replace(found, published_sha256=published_sha256)
