"""VoxCeleb2's size in bounded memory: time, and the resident memory of each process.

python benchmarks/scale.py [PART …] [--utterances 64000] [--rows 1128246] [--folder DIR] [--keep]

Features are random numbers of VoxCeleb2's shape: 188 utterances a speaker, 7.8 s and 125 kB each. They are
written to DIR/data and removed at the end. Each part runs in a process of its own and, where this user may
make a memory cgroup, under a limit that the page cache counts towards too: a corpus larger than the limit is
one larger than the machine. benchmarks/scale.json gets the results.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from memory import memory_limit, resident, watched
from shape import MELS, SPEAKERS, VOXCELEB2, corpus, make_features, params

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/scale.json"
VOXCELEB1 = 153_516  # utterances
BATCH, CROP_FRAMES = 64, 200
OWN_FOLDER = ("index", "manifest", "validate")  # parts that write, but not what others read
STEPS = 60  # of training
OFFICIAL = {"E": 581_480, "H": 552_536}  # trials of VoxCeleb1's lists as first published
RESAMPLES = 100
CLASSES, DIMENSION = (6_000, 100_000, 1_000_000), 192
LIMIT = 2.0  # GiB of a part's process, page cache included
# Ray kills its workers near the limit of a cgroup, page cache or not.
LIMITS: dict[str, float | None] = {"evaluate": 4.0, "softmax": 8.0, "sweep": None}


def forget(folder: Path) -> None:
    """Drop the files of a folder from the page cache."""
    for path in folder.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_batches(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Batches of crops from all of the corpus, from the disk, beside reading whole shards in order."""
    from laspa.training.batches import batches, draw
    from laspa.training.run import load_training_data

    features = folder / "data/features"
    forget(features)
    start = time.perf_counter()
    data = load_training_data(folder / "data").train
    opened = time.perf_counter() - start
    generator = np.random.default_rng(1)
    drawn = draw(data, BATCH, generator)[:150]
    forget(features)
    speed = {}
    for name in ("cold", "warm"):  # the second time the page cache has what the first one read
        timed, again = clock(), np.random.default_rng(2)
        nbytes = sum(batch.mel.numel() * 2 for batch in batches(data, drawn, CROP_FRAMES, again))
        took = timed(name)
        speed |= took | {
            f"{name}_utterances_per_s": drawn.size / took[f"{name}_s"],
            f"{name}_mb_per_s": nbytes / took[f"{name}_s"] / 1e6,
        }
    forget(features)
    start, read = time.perf_counter(), 0
    for path in sorted(features.iterdir())[:8]:
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(2**20):
                read += len(piece)
    whole = time.perf_counter() - start
    return {
        "open_s": opened,
        **speed,
        "sequential_mb_per_s": read / whole / 1e6,
    }


def train(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Steps of the default LASPA system on the whole corpus, then dev; the epoch ends after STEPS batches."""
    from laspa.training import loop
    from laspa.training.run import load_training_data, train_system

    whole = loop.draw
    loop.draw = lambda *given: whole(*given)[:STEPS]
    forget(folder / "data/features")
    data = load_training_data(folder / "data")
    start, own = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as states:
        trained = train_system(params(), data, Path(states))
    return {
        "utterances": len(data.train),
        "speakers": len(data.train.speakers),
        "steps": STEPS,
        "dev_utterances": len(data.dev.features),
        "seconds_with_dev": time.perf_counter() - start,
        "cpu_seconds_with_dev": time.process_time() - own,
        "loss": trained.history[-1]["loss"],
    }


def index(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What a training process knows of all rows before it reads a frame; the features have one each."""
    from laspa.training.run import load_training_data

    make_features(folder, options.rows, frames=1)
    timed = clock()
    data = load_training_data(folder / "data")
    own = resident(os.getpid())
    return {"rows": len(data.train), "mib": round(own["anonymous"]), **timed("open")}


def embed(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Embeddings of --embedded utterances of all the features, streamed from the disk; if those are fewer,
    some come twice or more."""
    import torch

    from laspa.evaluation.embedding import embed_speakers
    from laspa.features.store import FeatureStore
    from laspa.models.laspa import Laspa

    torch.set_num_threads(1)
    forget(folder / "data/features")
    store = FeatureStore(folder / "data/features")
    model = Laspa(params(), MELS, SPEAKERS, 4)
    model.mel_settings = store.settings
    spread = store.utterance_ids[:: max(1, len(store) // options.embedded)]
    ids = np.resize(spread, options.embedded).tolist()
    timed = clock()
    embed_speakers(model, store, ids, torch.device("cpu"))
    return {"embedded": len(ids), "utterances": len(set(ids)), **timed("embedding")}


def evaluate(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """VoxCeleb1 whole: E and H, AS-norm with all of VoxCeleb2 as the cohort, calibration, intervals.

    The vectors are random: `embed` has the time and memory of embedding.
    """
    import pyarrow as pa

    from laspa.evaluation.as_norm import as_norm
    from laspa.evaluation.calibration import fit_calibration
    from laspa.evaluation.evaluate import measure
    from laspa.evaluation.metadata import Metadata
    from laspa.evaluation.scores import cosine_scores
    from laspa.trials.lists import TrialList

    found: dict[str, float] = {}
    generator = np.random.default_rng(0)
    speaker = np.sort(generator.integers(1_251, size=VOXCELEB1))  # VoxCeleb1's
    vectors = generator.standard_normal((VOXCELEB1, DIMENSION), dtype=np.float32)
    vectors += generator.standard_normal((1_251, DIMENSION), dtype=np.float32)[speaker]
    cohort = generator.standard_normal((VOXCELEB2, DIMENSION), dtype=np.float32)
    others = np.char.add("c", np.sort(generator.integers(SPEAKERS, size=VOXCELEB2)).astype(str))
    names = np.char.add("t", speaker.astype(str))
    for name, count in OFFICIAL.items():
        enroll, test = generator.integers(VOXCELEB1, size=(2, count), dtype=np.int32)
        same = generator.random(count) < 0.5
        first = np.searchsorted(speaker, speaker[enroll])
        size = np.searchsorted(speaker, speaker[enroll], side="right") - first
        mates = first + (generator.random(count) * size).astype(np.int32)
        test = np.where(same, mates, test).astype(np.int32)
        target = speaker[enroll] == speaker[test]
        trials = TrialList(name, pa.array(np.arange(VOXCELEB1).astype(str)), enroll, test, target)
        timed = clock()
        raw = cosine_scores(vectors, enroll, test)
        normed = as_norm(vectors, names, enroll, test, cohort, others)
        found |= timed(f"as_norm_{name}")
        timed = clock()
        calibration = fit_calibration(raw[target], raw[~target])
        groups = {"all": {"all": np.ones(count, dtype=bool)}}
        for scores in (raw, normed):
            measure(trials, scores, Metadata(speaker=names), groups, calibration, RESAMPLES, 0)
        found |= timed(f"rates_{name}")
    return {"utterances": VOXCELEB1, "cohort": VOXCELEB2, "resamples": RESAMPLES} | found


def clock() -> Callable[[str], dict[str, float]]:
    """A function that gives the seconds since now, of the wall and of this process."""
    start, own = time.perf_counter(), time.process_time()
    return lambda name: {
        f"{name}_s": time.perf_counter() - start,
        f"{name}_cpu_s": time.process_time() - own,
    }


def sweep(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Two trials at once under Ray Tune, an epoch each of a small system over the whole corpus."""
    from tests.regression.tiny import set_params

    project = folder / "sweep"
    project.mkdir()
    shutil.copy(ROOT / "params.yaml", project)
    changes = {
        "train.batch_size": 512, "train.crop_seconds": 0.3, "train.device": "cpu", "train.threads": 1,
        "model.speaker_encoder": "tdnn_small", "model.embedding_dim": 16, "model.decoder_dim": 8,
        "tune.space": {"prefix_len": {"choice": [2, 4]}}, "tune.sampler": "grid", "tune.scheduler": "none",
        "tune.epochs": 1, "tune.grace_epochs": 1, "tune.trials": 2, "tune.concurrent": 2, "tune.cpus": 0.5,
        "tune.data": str((folder / "data").resolve()),
    }  # fmt: skip
    set_params(project, changes)
    start = time.perf_counter()
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.tune"],
        cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    sys.stderr.write(done.stdout)
    done.check_returncode()
    return {"trials": 2, "seconds": time.perf_counter() - start}


def manifest(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The manifest of all rows over recordings of 0.1 s: read, decoded, hashed."""
    import soundfile

    from laspa.manifest.build import build_manifest

    index = corpus(options.rows)
    takes = folder / "recordings"
    takes.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for split in ("train", "dev", "test"):
        for number in range(50):
            sound = noise.uniform(-0.3, 0.3, 1_600)
            soundfile.write(takes / f"{split}-{number}.wav", sound, 16_000, subtype="PCM_16")
    file_of = {
        path: takes / f"{split}-{row % 50}.wav"
        for row, (path, split) in enumerate(zip(index["path"], index["split"], strict=True))
    }
    index = index[["path", "speaker", "language", "gender", "split"]]
    chosen = params().manifest.model_copy(update={"min_seconds": 0.1})
    timed = clock()
    built, _ = build_manifest(index, "voxceleb2", chosen, file_of.__getitem__, 1, folder / "partial")
    return {"rows": len(built), **timed("manifest")}


def trials(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Dev and test trials of all rows, and of a corpus whose two dev speakers have 100,000 utterances."""
    from laspa.trials.drawing import generate_trials

    table = corpus(options.rows)
    timed = clock()
    lists = [generate_trials(table, split, params().trials) for split in ("dev", "test")]
    found = {"rows": len(table), "trials": sum(map(len, lists)), **timed("trials")}
    count = table[table["split"] == "dev"].groupby("speaker").size()
    table.loc[: 2 * 100_000 - 1, "split"] = "dev"
    table.loc[: 2 * 100_000 - 1, "speaker"] = np.repeat(["a", "b"], 100_000)
    timed = clock()
    generate_trials(table[: 2 * 100_000], "dev", params().trials.model_copy(update={"same_gender": False}))
    return found | {"pairs_of_dev": int((count * (count - 1) // 2).sum()), **timed("two_speakers")}


def validate(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Great Expectations over the manifest of all rows."""
    from pipelines.checks.expectations import manifest_tables
    from pipelines.validate import validate as check

    table = corpus(options.rows)
    timed = clock()
    outcomes = check("manifest", manifest_tables(table, params()), folder / "results", folder / "page")
    failed = [outcome.description for outcome in outcomes if not outcome.success]
    return {"rows": len(table), "expectations": len(outcomes), "failed": failed, **timed("validate")}


def softmax(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A step of AAM-softmax alone: forward, backward and AdamW, batch of 64, one thread; best of two."""
    import torch
    from memory import own_peak

    from laspa.models.losses import AAMSoftmax

    torch.set_num_threads(1)
    found: dict[str, Any] = {"batch": BATCH, "dimension": DIMENSION}
    for classes in CLASSES:
        head = AAMSoftmax(DIMENSION, classes)
        optimizer = torch.optim.AdamW(head.parameters(), fused=True)
        vectors = torch.randn(BATCH, DIMENSION, requires_grad=True)
        label = torch.randint(classes, (BATCH,))
        seconds = []
        for _ in range(3):
            start = time.process_time()
            head(vectors, label, 0.2, 30.0).backward()
            optimizer.step()
            optimizer.zero_grad()
            seconds.append(time.process_time() - start)
        found[f"classes_{classes}"] = {"cpu_s": min(seconds[1:]), "peak_gib_of_process": own_peak()}
    return found


PARTS: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "features": lambda folder, options: make_features(folder, options.utterances),
    "batches": read_batches,
    "train": train,
    "index": index,
    "embed": embed,
    "evaluate": evaluate,
    "sweep": sweep,
    "manifest": manifest,
    "trials": trials,
    "validate": validate,
    "softmax": softmax,
}


def run_part(part: str, options: argparse.Namespace) -> dict[str, Any]:
    """A part in a process of its own, and what memory it took."""
    gib = LIMITS.get(part, LIMIT)
    limit = memory_limit(gib) if gib else contextlib.nullcontext()
    command = [sys.executable, __file__, part, "--child", "--folder", str(options.folder)]
    for name in ("utterances", "rows", "embedded"):
        command += [f"--{name}", str(getattr(options, name))]
    with limit as group:

        def join() -> None:
            if group is not None:
                (group / "cgroup.procs").write_text(str(os.getpid()))

        start = time.monotonic()
        environment = os.environ | {"PYTHONPATH": f"{ROOT}"}
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=join)
        curve, peaks = watched(child)
        assert child.stdout is not None
        said = child.stdout.read()
        if child.returncode:
            raise SystemExit(f"{part}: ended with {child.returncode}\n{said[-2000:]}")
        measured = json.loads(said.splitlines()[-1])
    peaks = {name: {kind: round(value) for kind, value in peak.items()} for name, peak in peaks.items()}
    measured |= {
        "wall_s": time.monotonic() - start,
        "limit_gib": gib if group else None,
        "peak_mib": peaks,
    }
    if part in ("train", "embed"):
        measured["curve"] = curve[:: max(1, len(curve) // 20)]
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    parser.add_argument("--utterances", type=int, default=64_000)
    parser.add_argument("--rows", type=int, default=VOXCELEB2)
    parser.add_argument("--embedded", type=int, default=1_000, help="utterances whose embedding is timed")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "laspa-scale")
    parser.add_argument("--keep", action="store_true", help="the features")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        part = options.parts[0]
        with tempfile.TemporaryDirectory() as scratch:
            found = PARTS[part](Path(scratch) if part in OWN_FOLDER else options.folder, options)
        print(json.dumps(found, default=float))
        return
    for part in options.parts or PARTS:
        measured = run_part(part, options)
        found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        found[part] = measured
        RESULTS.write_text(json.dumps(found, indent=1, default=float) + "\n")
        print(
            part, json.dumps({key: value for key, value in found[part].items() if key != "curve"}), flush=True
        )
    if not options.keep:
        shutil.rmtree(options.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
