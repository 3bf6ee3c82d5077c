"""Sets of recordings that a trained model never heard, and its scores on them, for studies/travel."""

from pathlib import Path

import numpy as np
import torch

from laspa.corpora.folder import list_recordings
from laspa.evaluation.embedding import embed_speakers
from laspa.evaluation.scores import cosine_scores
from laspa.evaluation.split import Split, embedding_rows
from laspa.evaluation.system import pair_norm_scores
from laspa.features.extraction import Utterance, extract
from laspa.features.store import FeatureStore
from laspa.models.laspa import Laspa
from laspa.params import Params
from laspa.trials.drawing import generate_trials


def folder_split(folder: Path, params: Params, work: Path) -> Split:
    """A folder with a manifest.csv as one split: features under `work`, trials of all speakers."""
    listed = list_recordings([str(folder.resolve())], Path("/")).rows
    manifest = listed.assign(
        utterance_id=listed["path"],
        split="test",
        corpus=folder.name,
        gender=listed["gender"].replace("", None),
    )
    paths = [folder / path.partition("/")[2] for path in listed["path"]]
    utterances = [Utterance(name, path, name) for name, path in zip(listed["path"], paths, strict=True)]
    extract(utterances, params.features, work / "features", work / "partial", workers=1)
    trials = generate_trials(manifest, "test", params.trials)
    return Split(folder.name, FeatureStore(work / "features", trials.names.to_pylist()), manifest, trials)


def scores(model: Laspa, split: Split, device: torch.device) -> dict[str, np.ndarray]:
    """Scores of a split's trials, (trials,) each: the cosine, and pair norm where there are two languages."""
    ids = split.features.utterance_ids
    embeddings = embed_speakers(model.to(device), split.features, ids, device)
    rows = embedding_rows(split.trials, split.name, ids)
    found = {"cosine": cosine_scores(embeddings, *rows)}
    if split.manifest.set_index("utterance_id").loc[ids, "language"].nunique() > 1:
        found["pair norm"] = pair_norm_scores(split, ids, embeddings)
    return found
