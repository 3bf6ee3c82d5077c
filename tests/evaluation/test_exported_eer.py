"""The EER of an exported model on the test split of the committed pipeline, where its outputs are."""

from pathlib import Path

import numpy as np
import pytest
import torch

from laspa.evaluation.embedding import embed_speakers
from laspa.evaluation.error_rates import eer
from laspa.evaluation.split import load_split, score_trials
from laspa.models.saving import load_model

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
for package in ("onnx", "onnxscript"):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'laspa[onnx]'")

DATA = Path(__file__).parents[2] / "data"
NEEDED = ("model/model.safetensors", "features", "trials/test.parquet", "manifest.parquet")


@pytest.mark.skipif(
    not all((DATA / name).exists() for name in NEEDED), reason="needs the pipeline's outputs: dvc checkout"
)
def test_the_eer_on_test_is_that_of_torch_to_three_digits(tmp_path):
    from laspa.models.export import export_onnx

    export_onnx(DATA / "model", tmp_path / "model.onnx", waveform=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    test = load_split(DATA, "test")
    ids = test.features.utterance_ids

    def embedded(name):
        mel = test.features.get(name).astype(np.float32)
        return session.run(["embedding"], {"mel": mel[None]})[0]

    model, _ = load_model(DATA / "model")
    rows = {
        "torch": embed_speakers(model, test.features, ids, torch.device("cpu")),
        "onnx": np.concatenate([embedded(name) for name in ids]),
    }
    target = test.trials.labels()
    found = {}
    for name, vectors in rows.items():
        scores = score_trials(test.trials, test.name, ids, vectors)
        found[name] = eer(np.sort(scores[target]), np.sort(scores[~target]))
    assert found["onnx"] == pytest.approx(found["torch"], rel=5e-4)
