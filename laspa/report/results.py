"""What the report is made from, read from the folders of the pipeline."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from laspa.errors import LaspaError
from laspa.files import read_json, sha256_file
from laspa.manifest.tables import read_manifest
from laspa.report.prefix_heads import PrefixHeads
from laspa.report.summary import Summary, in_detail

WRITTEN = ("detail", "probe", "attention", "gradients")  # by the stage evaluate, as JSON


@dataclass
class Results:
    """Everything the page shows.

    summary: reports/summary.json; train: data/history of the system that is shown in detail.
    scores, embeddings: of that system on the test trials; manifest: every utterance.
    detail, probe, attention, gradients: what docs/evaluation.md says of them.
    reconstructions: `{"utterance_id", "original", "reconstructed"}`, mels as (frames, mels); may be empty.
    params: dotted names and values, as text; features: settings and digest of the mels.
    prefix_heads: EER on dev by prefix length and heads, as `prefix_heads.collect` has it, where measured.
    ablation: every system over seeds on the ablation's budget, where measured on this corpus.
    study: reports/study.json, the comparison over seeds on the full budget, where of these trials.
    """

    summary: Summary
    train: dict[str, Any]
    scores: pd.DataFrame
    embeddings: pd.DataFrame
    detail: dict[str, Any]
    probe: dict[str, Any]
    attention: dict[str, Any]
    gradients: dict[str, Any]
    manifest: pd.DataFrame
    manifest_sha256: str
    reconstructions: list[dict[str, Any]]
    params: dict[str, str]
    features: dict[str, str]
    prefix_heads: PrefixHeads | None = None
    ablation: Summary | None = None
    study: dict[str, Any] | None = None

    @property
    def system(self) -> str:
        """The system that is shown in detail."""
        return in_detail(self.summary)

    @property
    def metrics(self) -> dict[str, Any]:
        """Of that system."""
        return dict(self.summary["systems"][self.system])


def read_results(
    data: Path,
    summary: Summary,
    params: dict[str, str],
    features: dict[str, str],
    on_demand: dict[str, Any] | None = None,
) -> Results:
    """Read what the stages before the report have written under `data` about the system shown in detail.

    Args:
        on_demand: what was measured on demand: `ablation`, as pipelines.studies.table wrote it,
            `prefix_heads` and `study`. An ablation of another corpus or a study of other trials is left out.

    Raises:
        LaspaError: a file that is missing or is not what it should be.
    """
    system, more = in_detail(summary), on_demand or {}
    evaluation = data / "evaluation" / system
    scores = ["enroll", "test", "target", "same_language", "score"]
    manifest_sha256 = sha256_file(data / "manifest.parquet")
    ablation, study = more.get("ablation"), more.get("study")
    if ablation and (ablation["manifest_sha256"] != manifest_sha256 or not ablation["systems"]):
        ablation = None
    if study and study["trial_list"] != summary["systems"][system]["trial_list"]:
        study = None
    return Results(
        summary=summary,
        train=read_json(data / "history" / f"{system}.json"),
        scores=_read_table(evaluation / "scores.parquet", scores),
        embeddings=_read_table(evaluation / "embeddings.parquet", ["utterance_id", "vector"]),
        **{name: read_json(evaluation / f"{name}.json") for name in WRITTEN},
        manifest=read_manifest(data / "manifest.parquet"),
        manifest_sha256=manifest_sha256,
        reconstructions=_read_reconstructions(evaluation / "reconstruction.parquet"),
        params=params,
        features=features,
        prefix_heads=more.get("prefix_heads"),
        ablation=ablation,
        study=study,
    )


def _read_reconstructions(path: Path) -> list[dict[str, Any]]:
    """Pairs of mels; none for a system without a decoder, which writes no such file."""
    if not path.exists():
        return []
    pairs = []
    table = _read_table(path, ["utterance_id", "kind", "frames", "mel"])
    for utterance_id, rows in table.groupby("utterance_id", sort=False):
        mels = {
            row.kind: np.frombuffer(row.mel, dtype="<f4").reshape(int(row.frames), -1)
            for row in rows.itertuples()
        }
        if {"original", "reconstructed"} <= set(mels):
            pairs.append({"utterance_id": str(utterance_id), **mels})
    return pairs


def _read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise LaspaError(f"{path}: no such file; run the stage evaluate (dvc repro evaluate)") from None
    except (OSError, ValueError) as error:
        raise LaspaError(f"{path}: not a Parquet file ({error})") from None
    if missing := [column for column in columns if column not in table]:
        raise LaspaError(f"{path}: no column {', '.join(missing)}; it should have {', '.join(columns)}")
    return table
