"""Made-up results in the shape that the pipeline writes: the effect of language built in, small and quick."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laspa.manifest.tables import read_manifest
from laspa.params import Evaluate, load_params
from laspa.report.build_summary import read_summary
from laspa.report.prefix_heads import read_prefix_heads
from laspa.report.results import Results, read_results
from laspa.report.summary import Summary
from pipelines.tracking.runs import flat_params

SEEN, UNSEEN = ["de", "en", "es", "fr", "hi", "it", "pl", "ta"], ["fi", "te"]
SYSTEMS = [
    "baseline",
    "concat",
    "grl",
    "grl_mapc",
    "laspa",
    "laspa_plus",
    "no_mapc",
    "no_mse",
    "no_nll",
    "no_prefix",
]
COMPARED = {"baseline": 0.0, "laspa": 0.02, "laspa_plus": 0.3}  # and by how much language is left out of each
CONDITIONS = {
    "all": 0.12,
    "cross_cross": 0.11,
    "cross_same": 0.22,
    "same_cross": 0.004,
    "same_same": 0.008,
}


@pytest.fixture(scope="session")
def write_results() -> Callable[..., None]:
    """A function that writes such results into a folder."""
    return _write_results


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a whole run, made up."""
    root = tmp_path_factory.mktemp("results")
    _write_results(root, speakers=16)
    return root


@pytest.fixture(scope="session")
def summary_of() -> Callable[[Path], Summary]:
    """A function that reads the summary of such a folder."""

    def read(folder: Path) -> Summary:
        manifest = read_manifest(folder / "data/manifest.parquet")
        draws = Evaluate(bootstrap=100, seed=1)
        return read_summary(folder / "data", "laspa_plus", list(COMPARED), manifest, draws)

    return read


@pytest.fixture(scope="session")
def results(folder: Path, summary_of: Callable[[Path], Summary]) -> Results:
    params = flat_params(load_params(Path(__file__).parents[2] / "params.yaml").resolve("laspa"))
    on_demand = {"prefix_heads": read_prefix_heads(folder / "studies/prefix_heads.json")}
    return read_results(
        folder / "data", summary_of(folder), params, {"Features, digest": "cd" * 32}, on_demand
    )


def _write_results(
    root: Path,
    *,
    seeds: int = 3,
    speakers: int = 30,
    language_encoder: bool = True,
    languages: int = 3,
    epochs: int = 10,
    size: int = 32,
    utterances: int = 5,
) -> None:
    """Write data/ and studies/ under `root`: laspa_plus is the default.

    `languages` 1 is a corpus in which nobody speaks two: conditions are then left out.
    """
    random = np.random.default_rng(0)
    manifest = _manifest(random, speakers, languages, utterances)
    (root / "data").mkdir(parents=True)
    (root / "reports").mkdir()
    manifest.to_parquet(root / "data/manifest.parquet", index=False)
    test = manifest[manifest["split"] == "test"].reset_index(drop=True)
    omitted = {}
    conditions = dict(CONDITIONS)
    if languages == 1:
        omitted = dict.fromkeys(("cross_cross", "cross_same"), "no speaker speaks two languages")
        conditions = {name: value for name, value in conditions.items() if name not in omitted}
    vectors = _vectors(random, test, size)
    scores = _scores(random, test, vectors)
    for name, gain in COMPARED.items():
        folder = root / "data/evaluation" / name
        folder.mkdir(parents=True)
        _write_vectors(folder / "embeddings.parquet", test, vectors)
        effect = scores["same_language"] * (1 - gain) * 0.3
        scores.assign(score=scores["score"] + effect).to_parquet(folder / "scores.parquet", index=False)
        with_language = language_encoder and name != "baseline"
        if with_language:
            _write_reconstructions(folder / "reconstruction.parquet", random, test)
        for file, found in _inspections(conditions, with_language).items():
            _write_json(folder / f"{file}.json", found)
        metrics = _metrics(random, conditions, len(scores), 1 - gain, with_language) | {"omitted": omitted}
        _write_json(folder / "metrics.json", metrics)
        _write_json(root / f"data/history/{name}.json", _training(epochs, with_language))
    if language_encoder:
        _write_json(root / "studies/prefix_heads.json", _grid(root / "data/manifest.parquet"))
    for place, system in enumerate(SYSTEMS):
        for seed in range(1, seeds + 1):
            with_language = system not in ("baseline", "grl")
            factor = 1.3 - 0.06 * place * (system != "baseline") + 0.04 * random.normal()
            result = _metrics(random, conditions, len(scores), factor, with_language) | {"omitted": omitted}
            result |= {
                "seed": seed,
                "system": system,
                "epochs": 2,
                "history": _training(2, with_language)["history"],
            }
            _write_json(root / f"studies/ablation/systems/{system}/seed-{seed}.json", result)


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _grid(manifest: Path) -> dict[str, Any]:
    """Two prefix lengths by two head counts; eight tokens cost two points of EER with every seed."""
    cells = []
    for prefix in (0, 8):
        for heads in (1, 2):
            error = 0.3 + 0.02 * (prefix == 8) + 0.01 * heads
            values = [error - 0.01, error, error + 0.01]
            eers = {"mean": error, "low": error - 0.025, "high": error + 0.025, "values": values}
            cells.append(
                {
                    "prefix_len": prefix,
                    "num_heads": heads,
                    "eer": dict.fromkeys(("cross_same", "same_same", "all"), eers),
                    "added_parameters_percent": 1.0,
                    "prefix_share": {"language": 0.25, "speaker": 0.3},
                }
            )
    return {
        "cells": cells,
        "seeds": [1, 2, 3],
        "epochs": 2,
        "trial_list": {"name": "dev", "sha256": "ba" * 32, "trials": 900, "speakers": 12},
        "manifest_sha256": hashlib.sha256(manifest.read_bytes()).hexdigest(),
    }


def _inspections(conditions: dict[str, float], language_encoder: bool) -> dict[str, Any]:
    """probe.json, detail.json, attention.json and gradients.json."""
    read = {name: {"accuracy": 0.4, "chance": 0.125} for name in ("language_linear", "language_mlp")}
    read["speaker"] = (
        {"accuracy": None, "chance": None} if "cross_same" not in conditions else read["language_mlp"]
    )
    probe = read | {"variance": {"language": 0.3, "language_within_speaker": None, "speaker": 0.5}}

    def rates(names: dict[str, float]) -> dict[str, Any]:
        return {
            name: {
                "trials": 100,
                "targets": 20,
                "eer": value,
                "eer_low": 0.9 * value,
                "eer_high": 1.1 * value,
                **dict.fromkeys(("min_dcf_01", "min_dcf_05", "act_dcf_05", "cllr", "min_cllr"), 4 * value),
                **dict.fromkeys(("frr_at_far_1", "frr_at_far_01"), 3 * value),
            }
            for name, value in names.items()
        }

    parts = {name: value for name, value in conditions.items() if name != "all"}
    whole = {"all": conditions["all"]}
    cosine = {"all": rates(whole), "condition": rates(parts), "seen": rates({"seen": 0.1, "unseen": 0.2})}
    cosine["gender"] = rates({"f-f": 0.1}) | {"m-m": None}
    tuner = {"prefix": [[0.02] * 8, [0.01] * 8], "content": [[0.042] * 20, [0.046] * 20]}
    norms = {"aam": 1.5, "mapc": 0.2, "mse": 0.3, "mse_by_attention": 0.01}
    return {
        "probe": {"speaker": probe, **({"language": probe} if language_encoder else {})},
        "detail": {
            "calibration": {"slope": 9.0, "offset": -4.0},
            "not_calibrated": None,
            "cosine": cosine,
            "cohort": {"utterances": 600, "speakers": 60, "nearest": 60},
            "as_norm": {"all": rates(whole), "condition": rates(parts)},
        },
        "attention": {side: tuner | {"uniform_prefix": 0.1} for side in ("language", "speaker")}
        if language_encoder
        else {},
        "gradients": {"speaker_encoder": norms, "decoder": {"mse": 0.3}}
        if language_encoder
        else {"speaker_encoder": {"aam": 1.5}},
    }


def _manifest(random: np.random.Generator, speakers: int, languages: int, utterances: int) -> pd.DataFrame:
    rows = []
    for split, count in (("train", 2 * speakers), ("dev", speakers // 2), ("test", speakers)):
        for number in range(count):
            speaker = f"{split}-{number:03d}"
            several = languages if split != "train" else 1 + (number % 5 == 0) * (languages > 1)
            known = SEEN if split != "test" else SEEN + UNSEEN
            for language in random.choice(known, several, replace=False):
                for take in range(utterances):
                    utterance = f"{speaker}/{language}/{take:02d}"
                    rows.append(
                        {
                            "utterance_id": utterance,
                            "speaker": speaker,
                            "language": str(language),
                            "gender": "fm"[number % 2],
                            "corpus": "synthetic",
                            "split": split,
                            "path": f"audio/{utterance}.wav",
                            "sample_rate": np.int32(16000),
                            "num_samples": np.int64(random.integers(32000, 64000)),
                            "sha256": hashlib.sha256(utterance.encode()).hexdigest(),
                        }
                    )
    return pd.DataFrame(rows).sort_values("utterance_id").reset_index(drop=True)


def _vectors(random: np.random.Generator, test: pd.DataFrame, size: int) -> np.ndarray:
    def offsets(names: pd.Series, strength: float) -> np.ndarray:
        values = {name: strength * random.normal(size=size) for name in sorted(set(names))}
        return np.stack([values[name] for name in names])

    vectors = offsets(test["speaker"], 1.0) + offsets(test["language"], 0.7)
    vectors += 0.45 * random.normal(size=vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _write_vectors(path: Path, test: pd.DataFrame, vectors: np.ndarray) -> None:
    values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float32()), vectors.shape[1])
    pq.write_table(pa.table({"utterance_id": test["utterance_id"].tolist(), "vector": values}), path)


def _scores(random: np.random.Generator, test: pd.DataFrame, vectors: np.ndarray) -> pd.DataFrame:
    first, second = np.triu_indices(len(test), 1)
    speaker, language, gender = (test[name].to_numpy(dtype=str) for name in ("speaker", "language", "gender"))
    target = speaker[first] == speaker[second]
    kept = target | (random.random(len(first)) < min(1.0, 12000 / len(first)))
    first, second, target = first[kept], second[kept], target[kept]
    ids = test["utterance_id"].to_numpy()
    unseen = np.isin(language, UNSEEN)
    return pd.DataFrame(
        {
            "enroll": ids[first],
            "test": ids[second],
            "target": target,
            "same_language": language[first] == language[second],
            "same_gender": gender[first] == gender[second],
            "unseen_language": unseen[first] | unseen[second],
            "score": np.sum(vectors[first] * vectors[second], axis=1).astype(np.float64),
        }
    )


def _write_reconstructions(path: Path, random: np.random.Generator, test: pd.DataFrame) -> None:
    rows = []
    for index in (0, len(test) // 3, len(test) - 1):
        frames = int(random.integers(150, 260))
        time, band = np.mgrid[0:frames, 0:80]
        mel = (
            2 * np.sin(band / 9 + 2 * np.sin(time / 25)) - band / 40 + 0.5 * random.normal(size=(frames, 80))
        )
        smooth = 2 * np.sin(band / 9 + 2 * np.sin(time / 25)) * 0.9 - band / 40
        for kind, values in (("original", mel), ("reconstructed", smooth)):
            rows.append((test["utterance_id"][index], kind, np.int32(frames), values.astype("<f4").tobytes()))
    pd.DataFrame(rows, columns=["utterance_id", "kind", "frames", "mel"]).to_parquet(path, index=False)


def _metrics(
    random: np.random.Generator,
    conditions: dict[str, float],
    trials: int,
    factor: float,
    language_encoder: bool,
) -> dict[str, Any]:
    def rates(scale: float) -> dict[str, Any]:
        found = {}
        for name, error in conditions.items():
            value = float(min(0.5, error * scale * (1 + 0.03 * random.normal())))
            found[name] = {
                "eer": value,
                "eer_low": 0.9 * value,
                "eer_high": 1.1 * value,
                "min_dcf_01": min(1.0, 4 * value),
                "min_dcf_05": min(1.0, 3 * value),
                "trials": trials,
                "targets": trials // 3,
            }
        return found

    return {
        "conditions": rates(factor),
        "seen": rates(0.9 * factor),
        "unseen": rates(1.2 * factor),
        "language_probe_accuracy": float(0.6 * factor),
        "language_probe_chance": 0.125,
        "language_accuracy": 0.83 if language_encoder else None,
        "mapc": float(0.11 + 0.01 * random.random()) if language_encoder else None,
        "mse": 0.512 if language_encoder else None,
        "added_parameters_percent": 1.02 if language_encoder else 0.0,
        "trial_list": {"name": "test", "sha256": "ab" * 32, "trials": trials, "speakers": 30},
    }


def _training(epochs: int, language_encoder: bool) -> dict[str, Any]:
    history = []
    for epoch in range(1, epochs + 1):
        decay = float(np.exp(-epoch / 4))
        history.append(
            {
                "epoch": epoch,
                "loss": 2 + 9 * decay,
                "aam": 1 + 8 * decay,
                "nll": 0.3 + 1.5 * decay if language_encoder else None,
                "mapc": 0.1 + 0.2 * decay if language_encoder else None,
                "mse": 0.4 + 0.5 * decay if language_encoder else None,
                "grl": None,
                "grad_norm": 2 + decay,
                "gradient": {"aam": 1.8 + decay, "mse": 0.3} if language_encoder else {"aam": 2 + decay},
                "weighted": {"aam": 1 + 8 * decay},
                "margin": 0.2,
                "learning_rate": 0.003,
                "attention": {"speaker": 0.3 + 0.1 * decay, "language": 0.25} if language_encoder else {},
                "dev": {
                    "eer_cross_same": 0.15 + 0.3 * decay,
                    "eer_same_same": 0.01 + 0.1 * decay,
                    "eer_all": 0.1 + 0.2 * decay,
                    "language_probe": 0.3 - 0.1 * decay,
                },
                "flow": {"speaker": 0.01, "language": 0.02} if language_encoder else {},
                "warnings": {"mapc": "0.090 is at its floor"} if language_encoder and epoch == 2 else {},
            }
        )
    parameters = {"speaker_encoder": 250_000, "language_encoder": 70_000, "fusion": 2_500, "decoder": 40_000}
    return {
        "seed": 1,
        "epochs": epochs,
        "history": history,
        "best_epoch": epochs,
        "parameters": {**parameters, "total": sum(parameters.values())},
    }
