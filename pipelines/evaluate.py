"""Stage evaluate: the trained model on the test trials, and what the report shows of it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from laspa.evaluation.detail import detailed_rates, dev_calibration, normalised
from laspa.evaluation.diagnostics import attention_profile, gradient_norms
from laspa.evaluation.disentanglement import disentanglement
from laspa.evaluation.embedding import Embeddings, embed_speakers, reconstruct
from laspa.evaluation.evaluate import evaluate
from laspa.evaluation.measurement import evaluate_system
from laspa.evaluation.split import Split, load_split, torch_device
from laspa.features.store import FeatureStore
from laspa.files import atomic_path, sha256_file, write_json
from laspa.manifest.tables import official_lists
from laspa.models.laspa import Laspa
from laspa.models.saving import WEIGHTS_FILE, load_model
from laspa.params import Evaluate, load_params
from pipelines import stage
from pipelines.tracking import store as tracking

DATA, MODEL, RESULT = Path("data"), Path("data/model"), Path("data/evaluation")
METRICS = Path("reports/metrics.json")
SHOWN_RECONSTRUCTIONS = 4  # enough to see what the decoder does, few enough to look at
INSPECTED = 128  # utterances whose attention is averaged
GRADIENT_BATCH = 64  # training utterances whose gradients are measured
EMBEDDED_AT_A_TIME = 20_000  # utterances of official lists whose mels are in memory: 3 GB at 8 s each
DETAIL_RESAMPLES = 200  # of the speakers at most, for the many parts of the list


def main() -> None:
    params = load_params(stage.PARAMS_FILE).resolve()
    options, device = params.evaluate, torch_device(params.train.device)
    model, config = load_model(MODEL)
    test = load_split(DATA, "test")
    metrics, scores, embeddings = evaluate_system(model, config["languages"], test, options, device)
    official = _official(model, test.manifest, options, device)
    if official:
        metrics["official"] = {name: measured for name, (measured, _) in official.items()}
    train = test.manifest.loc[test.manifest["split"] == "train", "utterance_id"].tolist()
    training = FeatureStore(DATA / "features", train)
    kinds = {"speaker": embeddings.speaker, "language": embeddings.language}
    vectors = {name: values for name, values in kinds.items() if values is not None}
    inspected = _spread(embeddings.utterance_ids, INSPECTED)
    results = {
        "probe": disentanglement(vectors, embeddings.utterance_ids, test.manifest, options.seed),
        "detail": _detail(model, test, scores, embeddings, training, options, device),
        "attention": attention_profile(model, test.features, inspected, device),
        "gradients": _gradients(model, config, training, test.manifest),
    }
    with atomic_path(RESULT) as folder:
        folder.mkdir()
        scores.to_parquet(folder / "scores.parquet", index=False)
        for name, (_, scored) in official.items():
            scored.to_parquet(folder / f"scores_{name}.parquet", index=False)
        for name, values in vectors.items():
            file = "embeddings.parquet" if name == "speaker" else "language_embeddings.parquet"
            _write_vectors(folder / file, embeddings.utterance_ids, values)
        _write_reconstructions(folder / "reconstruction.parquet", model.to(device), test, embeddings)
        for name, result in results.items():
            write_json(folder / f"{name}.json", result)
    write_json(METRICS, metrics)
    with tracking.run_of_model(sha256_file(MODEL / WEIGHTS_FILE), params) as run:
        run.log_metrics(tracking.evaluation_metrics(metrics))
        run.log_metrics(tracking.inspection_metrics(**results))
        run.log_artifacts(METRICS, "evaluation")


def _official(
    model: Laspa, manifest: pd.DataFrame, options: Evaluate, device: torch.device
) -> dict[str, tuple[dict[str, Any], pd.DataFrame]]:
    """Each official list that is there, by condition, and its scored trials."""
    lists = official_lists(DATA / "trials")
    if not lists:
        return {}
    ids = sorted({name for trials in lists.values() for side in ("enroll", "test") for name in trials[side]})
    batches = [ids[start : start + EMBEDDED_AT_A_TIME] for start in range(0, len(ids), EMBEDDED_AT_A_TIME)]
    vectors = np.concatenate(
        [embed_speakers(model, FeatureStore(DATA / "features", batch), batch, device) for batch in batches]
    )
    found = {}
    for name, trials in lists.items():
        metrics, scored = evaluate(vectors, ids, manifest, trials, name, options.bootstrap, options.seed)
        found[name] = {key: metrics[key] for key in ("conditions", "omitted", "trial_list")}, scored
    return found


def _detail(
    model: Laspa,
    test: Split,
    scores: pd.DataFrame,
    embeddings: Embeddings,
    training: FeatureStore,
    options: Evaluate,
    device: torch.device,
) -> dict[str, Any]:
    """Every rate by part of the list: of the cosines, calibrated on dev, and by condition under AS-norm."""
    dev = load_split(DATA, "dev")
    spoken = embed_speakers(model, dev.features, dev.features.utterance_ids, device)
    calibration, why_none = dev_calibration(dev.trials, dev.features.utterance_ids, spoken)
    cohort = embed_speakers(model, training, training.utterance_ids, device)
    adapted, size = normalised(
        scores, embeddings.utterance_ids, embeddings.speaker, training.utterance_ids, cohort, test.manifest
    )
    draws = min(options.bootstrap, DETAIL_RESAMPLES), options.seed
    return {
        "calibration": calibration and asdict(calibration),
        "not_calibrated": why_none,
        "cosine": detailed_rates(scores, test.manifest, calibration, *draws),
        "cohort": size,
        "as_norm": detailed_rates(adapted, test.manifest, None, *draws, ("condition",)),
    }


def _gradients(
    model: Laspa, config: dict[str, Any], training: FeatureStore, manifest: pd.DataFrame
) -> dict[str, dict[str, float]]:
    """Gradients of the loss terms on some training utterances, cut to the shortest of them."""
    chosen = _spread(training.utterance_ids, GRADIENT_BATCH)
    about = manifest.set_index("utterance_id").loc[chosen]
    classes = [
        torch.tensor([config[names].index(value) for value in about[column]])
        for names, column in (("speakers", "speaker"), ("languages", "language"))
    ]
    mels = [training.get(name) for name in chosen]
    shortest = min(map(len, mels))
    mel = torch.from_numpy(np.stack([mel[:shortest] for mel in mels])).float()
    return gradient_norms(model, mel, *classes)


def _spread(items: list[str], wanted: int) -> list[str]:
    """At most so many of them, evenly spread."""
    return [items[index] for index in np.linspace(0, len(items) - 1, min(wanted, len(items))).astype(int)]


def _write_vectors(path: Path, utterance_ids: list[str], vectors: np.ndarray) -> None:
    values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float32()), vectors.shape[1])
    pq.write_table(pa.table({"utterance_id": utterance_ids, "vector": values}), path, compression="none")


def _write_reconstructions(path: Path, model: Laspa, test: Split, embeddings: Embeddings) -> None:
    """Original and rebuilt mels of utterances spread over the range of errors, best to worst."""
    if embeddings.squared_error is None:
        return
    device = next(model.parameters()).device
    order = np.argsort(embeddings.squared_error, kind="stable")
    shown = order[np.linspace(0, len(order) - 1, SHOWN_RECONSTRUCTIONS).astype(int)]
    rows = []
    for utterance_id in (embeddings.utterance_ids[index] for index in shown):
        original = test.features.get(utterance_id).astype(np.float32)
        rebuilt = reconstruct(model, original, device)
        for kind, mel in (("original", original), ("reconstructed", rebuilt)):
            rows.append((utterance_id, kind, len(mel), mel.astype(np.float32).tobytes()))
    frame = pd.DataFrame(rows, columns=["utterance_id", "kind", "frames", "mel"])
    frame.to_parquet(path, index=False)


if __name__ == "__main__":
    stage.run(main)
