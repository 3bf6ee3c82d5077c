"""The table of languages that a model gave to recordings without one, and the index filled in from it."""

from pathlib import Path

import pandas as pd

from laspa.errors import LaspaError
from laspa.files import atomic_path
from laspa.manifest.index import UNDETERMINED

COLUMNS = {"path": "string", "language": "string", "confidence": "float32"}


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
        labels: columns path, language and confidence, of the rows without a language. If it is empty,
            the index stays as it is.
        threshold: a row with a lower confidence is left out.

    Raises:
        LaspaError: a row without a language and without a label, or no row that is left.
    """
    if labels.empty:
        return index, pd.DataFrame(columns=["path", "reason"])
    empty = index["language"] == UNDETERMINED
    by_path = labels.set_index("path")
    unlabelled = index.loc[empty & ~index["path"].isin(by_path.index), "path"]
    if len(unlabelled):
        raise LaspaError(
            f"data/labels.parquet: no label for {len(unlabelled)} recordings without a language, such as "
            f"{unlabelled.iloc[0]}; run dvc repro label"
        )
    confidence = index["path"].map(by_path["confidence"])
    index = index.copy()
    index.loc[empty, "language"] = index.loc[empty, "path"].map(by_path["language"])
    doubtful = empty & (confidence < threshold)
    if doubtful.all():
        raise LaspaError(
            f"data/labels.parquet: the languages of all {len(index)} recordings are below label.threshold, "
            f"{threshold:g}; lower it in params.yaml"
        )
    reasons = [
        f"language unknown: {language} at {value:.2f} is below label.threshold, {threshold:g}"
        for language, value in zip(index.loc[doubtful, "language"], confidence[doubtful], strict=True)
    ]
    return index[~doubtful], pd.DataFrame({"path": index.loc[doubtful, "path"], "reason": reasons})


def without_language(index: pd.DataFrame) -> list[str]:
    """The paths of recordings without a language."""
    return index.loc[index["language"] == UNDETERMINED, "path"].tolist()


def check_unlabelled(index: pd.DataFrame) -> str:
    """A warning for an index that no model labels, if all recordings count as one language; else "".

    Raises:
        LaspaError: some recordings have a language and some do not.
    """
    paths = without_language(index)
    remedy = "set label.model to own or voxlingua in params.yaml to let a model tell them"
    if paths and len(paths) < len(index):
        raise LaspaError(
            f"{len(paths)} of {len(index)} recordings have no language, such as {paths[0]}; write their "
            f"languages into the corpus's table, or {remedy}"
        )
    return f"warning: no recording has a language: all count as one; {remedy}" if paths else ""
