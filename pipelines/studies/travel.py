"""Stage system of studies/travel: a system at home and on what it never heard, each seed on the same budget.

Usage: python -m pipelines.studies.travel SYSTEM
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from laspa.corpora.folder import list_recordings
from laspa.evaluation.embedding import embed_speakers
from laspa.evaluation.scores import cosine_scores
from laspa.evaluation.split import Split, embedding_rows, load_split
from laspa.evaluation.system import pair_norm_scores
from laspa.features.extraction import Utterance, extract
from laspa.features.store import FeatureStore
from laspa.files import atomic_path
from laspa.models.device import torch_device
from laspa.models.laspa import Laspa
from laspa.params import Params, load_params, with_overrides
from laspa.training.run import load_training_data, state_digest, train_system
from laspa.trials.drawing import generate_trials
from laspa.trials.splits import OTHER
from pipelines import stage
from pipelines.studies.measure import with_seeds

DATA, STUDY = Path("data"), Path("studies/travel")
THIRD = STUDY / "third"  # the dev set, by pipelines.studies.third_family
PARTIAL = Path("data/.partial/travel")


def main() -> None:
    name, params = stage.argument("studies.travel", "SYSTEM"), load_params(stage.PARAMS_FILE)
    budget = with_overrides(params.resolve(name), {"train.epochs": params.travel.epochs})
    runs, data = with_seeds(budget, params.travel.seeds), load_training_data(DATA)
    everything, device = sets(params), torch_device(params.train.device)
    measured: dict[str, dict[str, np.ndarray]] = {one: {} for one in everything}
    for seed, run in runs.items():
        finished = PARTIAL / name / f"seed-{seed}-{state_digest(run, data)}"
        if not finished.exists():
            model = train_system(run, data, PARTIAL / name / "states").model
            with atomic_path(finished) as folder:
                folder.mkdir()
                for one, split in everything.items():
                    pd.DataFrame(scores(model, split, device)).to_parquet(folder / f"{one}.parquet")
        for one in everything:
            for scoring, values in pd.read_parquet(finished / f"{one}.parquet").items():
                measured[one][f"{scoring}, seed {seed}"] = values.to_numpy()
    with atomic_path(STUDY / "systems" / name) as folder:
        folder.mkdir()
        for one, split in everything.items():
            _trials(split).assign(**measured[one]).to_parquet(folder / f"{one}.parquet", index=False)


def sets(params: Params) -> dict[str, Split]:
    """What systems are measured on: the test split, the dev set, `other`, and the folders of `travel`."""
    folders = {"third": THIRD} | {Path(one).name: stage.project_root() / one for one in params.travel.folders}
    found = {name: folder_split(one, params, PARTIAL / "sets" / name) for name, one in folders.items()}
    return {"home": load_split(DATA, "test"), OTHER: load_split(DATA, OTHER)} | found


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


def _trials(split: Split) -> pd.DataFrame:
    trials = split.trials
    speaker = (
        split.manifest.set_index("utterance_id").loc[trials.names.to_pylist(), "speaker"].to_numpy(dtype=str)
    )
    sides = {"enroll": speaker[trials.enroll], "test": speaker[trials.test]}
    same = trials.relations["same_language"]
    return pd.DataFrame({"target": trials.labels(), "same_language": same, **sides})


if __name__ == "__main__":
    stage.run(main)
