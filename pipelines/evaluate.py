"""Stage evaluate: the trained model on the test trials, and what the report shows of it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from laspa.checkpoint import WEIGHTS_FILE, load_model
from laspa.embedding import Embeddings, reconstruct
from laspa.files import atomic_path, sha256_file, write_json
from laspa.measurement import evaluate_system
from laspa.models.laspa import Laspa
from laspa.params import load_params
from laspa.split import Split, load_split, torch_device
from pipelines import stage, tracking

DATA, MODEL, RESULT = Path("data"), Path("data/model"), Path("data/evaluation")
METRICS = Path("reports/metrics.json")
SHOWN_RECONSTRUCTIONS = 4  # enough to see what the decoder does, few enough to look at


def main() -> None:
    params = load_params(stage.PARAMS_FILE)
    device = torch_device(params.train.device)
    model, config = load_model(MODEL)
    test = load_split(DATA, "test")
    metrics, scores, embeddings = evaluate_system(model, config["languages"], test, params.evaluate, device)
    with atomic_path(RESULT) as folder:
        folder.mkdir()
        scores.to_parquet(folder / "scores.parquet", index=False)
        _write_vectors(folder / "embeddings.parquet", embeddings.utterance_ids, embeddings.speaker)
        if embeddings.language is not None:
            _write_vectors(
                folder / "language_embeddings.parquet", embeddings.utterance_ids, embeddings.language
            )
        _write_reconstructions(folder / "reconstruction.parquet", model, test, embeddings)
    write_json(METRICS, metrics)
    with tracking.run_of_model(sha256_file(MODEL / WEIGHTS_FILE), params) as run:
        run.log_metrics(tracking.evaluation_metrics(metrics))
        run.log_artifacts(METRICS, "evaluation")


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
