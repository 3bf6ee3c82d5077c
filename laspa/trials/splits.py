"""The rows of the manifest that trials are drawn from: the splits, and the corpora that stand apart."""

import pandas as pd

OTHER = "other"  # the trial list, and its rates, of the corpora that stand apart
PARTS = ("train", "dev", "test", OTHER)  # that `rows_of_split` gives
OUT_OF_CORPUS = ("synthetic_other",)  # on which no model is trained or tuned


def rows_of_split(manifest: pd.DataFrame, split: str) -> pd.DataFrame:
    """The rows of train, dev or test; or `other`: of corpora that only test models of other corpora.

    Those stand in the manifest's split test, but are no part of the test split of the corpora that a model is
    trained for: they are drawn trials from, counted and measured by themselves.
    """
    other = manifest.get("corpus", pd.Series("", manifest.index)).isin(OUT_OF_CORPUS)
    if split == OTHER:
        return manifest[other]
    return manifest[(manifest["split"] == split) & ~other]
