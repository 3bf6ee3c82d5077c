"""Stage evaluate: a trained system on the test trials, and what the report shows of it.

Usage: python -m pipelines.evaluate SYSTEM
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch

from laspa.errors import LaspaError
from laspa.evaluation.as_norm import TOP, as_norm
from laspa.evaluation.calibration import Calibration, fit_calibration
from laspa.evaluation.diagnostics import attention_profile, gradient_norms
from laspa.evaluation.embedding import Embeddings, embed_speakers, reconstruct
from laspa.evaluation.evaluate import measure, parts_of
from laspa.evaluation.probes import Probed, disentanglement
from laspa.evaluation.score_files import embeddings_table, write_scores
from laspa.evaluation.split import Split, embedding_rows, load_split, score_trials
from laspa.evaluation.system import (
    SystemEvaluation,
    evaluate_other,
    evaluate_system,
    pair_norm_rates,
    rates_of_list,
)
from laspa.features.store import FeatureStore
from laspa.files import atomic_path, sha256_file, write_json
from laspa.models.device import torch_device
from laspa.models.laspa import Laspa
from laspa.models.saving import WEIGHTS_FILE, load_model
from laspa.params import Evaluate, load_params
from laspa.trials.lists import TrialList, official_lists
from pipelines import stage
from pipelines.tracking.metrics import analysis_metrics, evaluation_metrics
from pipelines.tracking.runs import run_of_model

DATA, TRAINED, RESULTS = Path("data"), Path("data/trained"), Path("data/evaluation")
METRICS = "metrics.json"
FURTHER_GROUPINGS = ("language-pair", "gender")  # of the test list, beside conditions and languages heard
SHOWN_RECONSTRUCTIONS = 4  # enough to see what the decoder does, few enough to look at
INSPECTED = 128  # utterances whose attention is averaged
GRADIENT_BATCH = 64  # training utterances whose gradients are measured


def main() -> None:
    system = stage.argument("evaluate", "SYSTEM")
    params, result = load_params(stage.PARAMS_FILE).resolve(system), RESULTS / system
    options, device = params.evaluate, torch_device(params.train.device)
    model, config = load_model(TRAINED / system)
    test = load_split(DATA, "test")
    calibration, not_calibrated = _calibration(model, device)
    found = evaluate_system(model, config["languages"], test, options, device, calibration, FURTHER_GROUPINGS)
    metrics, embeddings = found.metrics, found.embeddings
    official = _official(model, test.manifest, options, device)
    if official:
        metrics["official"] = {name: measured for name, (measured, *_) in official.items()}
    metrics["pair_norm"] = pair_norm_rates(test, embeddings.utterance_ids, embeddings.speaker, options)
    other = evaluate_other(model, DATA, options, device)
    train = test.manifest.loc[test.manifest["split"] == "train", "utterance_id"].tolist()
    training = FeatureStore(DATA / "features", train)
    kinds = {"speaker": embeddings.speaker, "language": embeddings.language}
    vectors = {name: values for name, values in kinds.items() if values is not None}
    probed = Probed(metrics["language_probe_accuracy"], metrics["language_probe_chance"])
    inspected = _spread(embeddings.utterance_ids, INSPECTED)
    results = {
        "metrics": metrics | {name: measured for name, (measured, *_) in other.items()},
        "probe": disentanglement(
            vectors, embeddings.utterance_ids, test.manifest, options.seed, {"speaker": probed}
        ),
        "detail": _detail(found, calibration, not_calibrated)
        | _as_norm(model, test, found, training, options, device),
        "attention": attention_profile(model, test.features, inspected, device),
        "gradients": _gradients(model, config, training, test.manifest),
    }
    with atomic_path(result) as folder:
        folder.mkdir()
        write_scores(folder / "scores.parquet", test.trials, found.scores)
        for name, (_, trials, scores) in (official | other).items():
            write_scores(folder / f"scores_{name}.parquet", trials, scores)
        for name, values in vectors.items():
            file = "embeddings.parquet" if name == "speaker" else "language_embeddings.parquet"
            table = embeddings_table(embeddings.utterance_ids, values)
            pq.write_table(table, folder / file, compression="none")
        _write_reconstructions(folder / "reconstruction.parquet", model.to(device), test, embeddings)
        for name, found_out in results.items():
            write_json(folder / f"{name}.json", found_out)
    with run_of_model(sha256_file(TRAINED / system / WEIGHTS_FILE), params) as run:
        run.log_metrics(evaluation_metrics(metrics))
        run.log_metrics(analysis_metrics(**results))
        run.log_artifacts(result / METRICS, "evaluation")


def _calibration(model: Laspa, device: torch.device) -> tuple[Calibration | None, str | None]:
    """The calibration fitted on the dev trials; None, and why, where they allow none."""
    dev = load_split(DATA, "dev")
    ids = dev.features.utterance_ids
    spoken = embed_speakers(model.to(device), dev.features, ids, device)
    scores = score_trials(dev.trials, dev.name, ids, spoken)
    target = dev.trials.labels()
    try:
        return fit_calibration(scores[target], scores[~target]), None
    except LaspaError as error:
        return None, str(error)


def _official(
    model: Laspa, manifest: pd.DataFrame, options: Evaluate, device: torch.device
) -> dict[str, tuple[dict[str, Any], TrialList, np.ndarray]]:
    """Each official list that is there: its metrics by condition, its trials and their scores."""
    lists = official_lists(DATA / "trials")
    if not lists:
        return {}
    ids = sorted(set().union(*(trials.names.to_pylist() for trials in lists.values())))
    vectors = embed_speakers(model, FeatureStore(DATA / "features", ids), ids, device)
    found = {}
    for name, trials in lists.items():
        scores = score_trials(trials, name, ids, vectors)
        found[name] = rates_of_list(name, trials, scores, manifest, options), trials, scores
    return found


def _detail(
    found: SystemEvaluation, calibration: Calibration | None, not_calibrated: str | None
) -> dict[str, Any]:
    """Every rate of the test list by parts: those of metrics.json among them."""
    rates = found.rates
    parts = {
        "all": {"all": rates["conditions"]["all"]},
        "condition": {name: rate for name, rate in rates["conditions"].items() if name != "all"},
        "seen": {name: rates[name]["all"] for name in ("seen", "unseen")},
        **{name: rates[name] for name in FURTHER_GROUPINGS},
    }
    fitted = calibration and asdict(calibration)
    return {"calibration": fitted, "not_calibrated": not_calibrated, "cosine": parts}


def _as_norm(
    model: Laspa,
    test: Split,
    found: SystemEvaluation,
    training: FeatureStore,
    options: Evaluate,
    device: torch.device,
) -> dict[str, Any]:
    """The rates by condition under AS-norm, with all training speakers as the cohort."""
    cohort = embed_speakers(model, training, training.utterance_ids, device)
    embeddings, trials = found.embeddings, test.trials
    ids = embeddings.utterance_ids
    speaker = test.manifest.set_index("utterance_id")["speaker"]
    tested, others = (speaker.loc[names].to_numpy(dtype=str) for names in (ids, training.utterance_ids))
    enroll, rows = embedding_rows(trials, test.name, ids)
    scores = as_norm(embeddings.speaker, tested, enroll, rows, cohort, others)
    groups = {kind: parts_of(kind, trials, found.metadata) for kind in ("all", "condition")}
    speakers = len(np.unique(others))
    return {
        "cohort": {"utterances": len(others), "speakers": speakers, "nearest": min(TOP, speakers)},
        "as_norm": measure(trials, scores, found.metadata, groups, None, options.bootstrap, options.seed),
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
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums are added in one order on any number of cores
    try:
        return gradient_norms(model, mel, *classes)
    finally:
        torch.set_num_threads(threads)


def _spread(items: list[str], wanted: int) -> list[str]:
    """At most so many of them, evenly spread."""
    return [items[index] for index in np.linspace(0, len(items) - 1, min(wanted, len(items))).astype(int)]


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
        assert rebuilt is not None  # squared_error says that there is a decoder
        for kind, mel in (("original", original), ("reconstructed", rebuilt)):
            rows.append((utterance_id, kind, len(mel), mel.astype(np.float32).tobytes()))
    frame = pd.DataFrame(rows, columns=["utterance_id", "kind", "frames", "mel"])
    frame.to_parquet(path, index=False)


if __name__ == "__main__":
    stage.run(main)
