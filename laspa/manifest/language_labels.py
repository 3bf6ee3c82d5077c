"""The languages that a model gave to recordings without one, as a table, and what is made of it."""

from pathlib import Path

import pandas as pd

from laspa.errors import LaspaError
from laspa.files import atomic_path

COLUMNS = {"path": "string", "language": "string", "confidence": "float32"}
UNDETERMINED = "und"  # ISO 639-3's word for it; also of what could not be heard: the manifest says why


def write_labels(file: Path, rows: list[tuple[str, str, float | None]]) -> None:
    """Write (path, language, confidence) by path; the confidence is a posterior, or None."""
    table = pd.DataFrame(sorted(rows), columns=list(COLUMNS)).astype(COLUMNS)
    with atomic_path(file) as temporary:
        table.to_parquet(temporary, index=False)


def with_labels(
    index: pd.DataFrame, labels: pd.DataFrame, threshold: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The index with a language in every row, and (path, reason) of the rows left out.

    Args:
        index: columns path and language, which may be `und`.
        labels: columns path, language and confidence, of the rows without a language.
        threshold: confidence below which a row is left out.

    With no labels at all nothing changes: the stage label has let the index pass as it is.

    Raises:
        LaspaError: a row without a language that no model has listened to, where others were.
    """
    empty = index["language"] == UNDETERMINED
    if labels.empty:
        return index, pd.DataFrame(columns=["path", "reason"])
    of = labels.set_index("path")
    unheard = index.loc[empty & ~index["path"].isin(of.index), "path"]
    if len(unheard):
        raise LaspaError(
            f"data/labels.parquet: nothing of {len(unheard)} recordings without a language, such as "
            f"{unheard.iloc[0]}; run dvc repro label"
        )
    index = index.copy()
    confidence = index["path"].map(of["confidence"])
    index.loc[empty, "language"] = index.loc[empty, "path"].map(of["language"])
    doubtful = empty & (confidence < threshold)
    reasons = [
        f"language unknown: {language} at {value:.2f} is below label.threshold, {threshold:g}"
        for language, value in zip(index.loc[doubtful, "language"], confidence[doubtful], strict=True)
    ]
    skipped = pd.DataFrame({"path": index.loc[doubtful, "path"], "reason": reasons})
    return index[~doubtful], skipped


def unlabelled(index: pd.DataFrame) -> list[str]:
    """The paths of recordings without a language."""
    return index.loc[index["language"] == UNDETERMINED, "path"].tolist()


def pass_unlabelled(index: pd.DataFrame) -> str:
    """What to tell of an index that no model is to label: nothing, or that all of it counts as one language.

    Raises:
        LaspaError: recordings with and without a language beside each other.
    """
    paths = unlabelled(index)
    remedy = "set label.model to own or voxlingua in params.yaml to let a model tell them"
    if paths and len(paths) < len(index):
        raise LaspaError(
            f"{len(paths)} of {len(index)} recordings have no language, such as {paths[0]}; write their "
            f"languages into the corpus's table, or {remedy}"
        )
    return f"warning: no recording has a language: all count as one; {remedy}" if paths else ""
