"""The trained model as a model of MLflow, with what a registry needs to compare it with another."""

import base64
import io
import re
import shutil
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

import laspa
from laspa.audio.reading import SAMPLE_RATE
from laspa.evaluation.evaluate import condition_masks
from laspa.files import sha256_file
from laspa.models.saving import WEIGHTS_FILE
from laspa.packaging.thresholds import Scored
from laspa.params import Params
from pipelines.tracking.metrics import evaluation_metrics
from pipelines.tracking.runs import MODEL_TAG, PARENT_TAG, run_of_model
from pipelines.tracking.tracked_run import TrackedRun, quieten_mlflow

NAME = "laspa"
MODEL_ARTIFACT = "model"  # as pipelines/serving/model.py names it
LIST_TAG = "laspa.trial_list_sha256"
SCORES_ARTIFACT, SCORES_FILE = "scores", "test_scores.parquet"
CODE = Path(__file__).parents[1] / "serving/model.py"
# What `Recogniser` and that file import, pinned to what is installed. laspa itself comes with the model.
REQUIREMENTS = (
    *("mlflow", "numpy", "pandas", "pyarrow", "pydantic", "pyyaml", "requests", "safetensors"),
    *("scikit-learn", "scipy", "soundfile", "soxr", "threadpoolctl", "torch", "torchaudio", "tqdm"),
)


def log_model(folder: Path, trained: str, scored: Scored, metrics: dict[str, Any], params: Params) -> None:
    """Log the model to the run that trained it, and its error rates to the run of the pipeline.

    Args:
        folder: as `Recogniser.load` reads it.
        trained: digest of the weights that the run trained; those of `folder` may have further parts.
        scored: the test list, by this model.
        metrics: as reports/metrics.json, of the same list.
    """
    digest, list_digest = sha256_file(folder / WEIGHTS_FILE), metrics["trial_list"]["sha256"]
    flat = {name: value for name, value in evaluation_metrics(metrics).items() if value is not None}
    tags = {MODEL_TAG: digest, LIST_TAG: list_digest}
    # The run ends, and so has sent everything, before the folder goes.
    with TemporaryDirectory() as temporary, run_of_model(trained, params) as run:
        saved = save_model(Path(temporary) / "saved", folder, scored)
        _send(run, saved, tags, flat)


def save_model(saved: Path, folder: Path, scored: Scored) -> Path:
    """Write `saved`, a folder that `mlflow.pyfunc.load_model` loads in any process."""
    quieten_mlflow()
    import mlflow

    with TemporaryDirectory() as temporary:
        table = Path(temporary) / SCORES_FILE
        pq.write_table(comparable_scores(scored), table)
        kept = Path(temporary) / MODEL_ARTIFACT  # MLflow keeps a folder under its own name
        shutil.copytree(folder, kept)
        code = Path(temporary) / "laspa"
        shutil.copytree(Path(laspa.__file__).parent, code, ignore=shutil.ignore_patterns("__pycache__"))
        mlflow.pyfunc.save_model(
            path=str(saved),
            python_model=str(CODE),
            artifacts={MODEL_ARTIFACT: str(kept), SCORES_ARTIFACT: str(table)},
            code_paths=[str(code)],
            signature=_signature(),
            input_example=[{"audio": example_recording()}],
            pip_requirements=requirements(),
        )
    return saved


def comparable_scores(scored: Scored) -> pa.Table:
    """The test trials with score and speakers: all that the paired bootstrap needs, without the data.

    Columns enroll_speaker and test_speaker (numbers), target, same_language, score; the list's digest is in
    the schema's metadata.
    """
    trials = scored.trials
    speakers = scored.metadata.speakers(trials)
    assert speakers is not None  # a manifest has them
    columns = {
        "enroll_speaker": speakers[0],
        "test_speaker": speakers[1],
        "target": trials.labels(),
        "same_language": condition_masks(trials, scored.metadata)["same_same"],
        "score": scored.scores,
    }
    return pa.table(columns).replace_schema_metadata({LIST_TAG: trials.sha256()})


def requirements() -> list[str]:
    """`REQUIREMENTS` with their versions; a build's own mark, as in 2.13.0+cpu, is left out."""
    return [f"{name}=={re.sub(r'[+].*', '', version(name))}" for name in REQUIREMENTS]


def example_recording() -> str:
    """Base64 of a second of a buzzing tone as FLAC, which passes for a voice."""
    seconds = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * 120 * harmonic * seconds) / harmonic for harmonic in range(1, 20))
    file = io.BytesIO()
    soundfile.write(file, 0.2 * tone * np.sin(2 * np.pi * 4 * seconds) ** 2, SAMPLE_RATE, format="FLAC")
    return base64.b64encode(file.getvalue()).decode()


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    inputs = [ColSpec(DataType.string, "audio"), ColSpec(DataType.string, "other", required=False)]
    outputs: list[ColSpec] = [ColSpec(Array(DataType.double), "embedding", required=False)]
    outputs += [
        ColSpec(DataType.double, name, required=False) for name in ("score", "probability", "threshold")
    ]
    outputs.append(ColSpec(DataType.boolean, "same", required=False))
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def _send(run: TrackedRun, saved: Path, tags: dict[str, str], metrics: dict[str, float]) -> None:
    def send(client: Any, run_id: str) -> None:
        from mlflow.entities import LoggedModelOutput, Metric

        info = client.get_run(run_id)
        wanted = f"source_run_id = '{run_id}'"
        known = client.search_logged_models([info.info.experiment_id], filter_string=wanted)
        model = next((one for one in known if one.tags.items() >= tags.items()), None)
        if model is None:
            params = dict(info.data.params)
            model = client.create_logged_model(
                info.info.experiment_id, NAME, source_run_id=run_id, tags=tags, params=params
            )
        if str(model.status) != "READY":
            client.log_model_artifacts(model.model_id, str(saved))
            client.finalize_logged_model(model.model_id, "READY")
            client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        now = info.info.end_time or info.info.start_time
        values = [Metric(name, value, now, 0, model_id=model.model_id) for name, value in metrics.items()]
        client.log_batch(run_id, metrics=values)
        if above := info.data.tags.get(PARENT_TAG):
            client.log_batch(above, metrics=[Metric(name, value, now, 0) for name, value in metrics.items()])

    run.send(send)
