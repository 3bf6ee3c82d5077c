"""What one GPU gives: training steps, the training loop, two runs that share the card, every backbone.

benchmarks/gpu.sh [--device cpu] [--steps N] [--parts …] [--output FILE] [--table FILE]

Writes one JSON and prints it as the tables of docs/benchmarks.md; `--table` prints those of an earlier file.
On a CPU it only shows that it runs: a corpus of a few speakers and one epoch.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML
from train_step import stepper

from laspa.evaluation.split import load_split
from laspa.evaluation.system import evaluate_system
from laspa.models.device import torch_device
from laspa.params import Params, load_params, with_overrides
from laspa.training import loop
from laspa.training.batches import TrainingSet
from laspa.training.run import load_training_data, train_system

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("download", "label", "manifest", "trials", "features")
NETS = ("speechbrain ECAPA-512", "laspa ECAPA-512", "laspa ResNet-34 L")
ENCODERS = ("ecapa_512", "resnet34_s", "resnet34_l", "redimnet_b2")
SYSTEMS = ("baseline", "laspa", "laspa_plus")
SMALL = {"train_speakers": 8, "dev_speakers": 4, "test_speakers": 6, "train_utterances": 8}
WARM_UP = 3  # steps, or compiled calls, that are not timed
CONDITIONS = ("cross_same", "same_same", "all")

Row = dict[str, Any]


def measure_steps(options: argparse.Namespace) -> list[Row]:
    """Time and memory of a training step on a batch that is already on the device."""
    rows = []
    for net in NETS:
        if net.startswith("speechbrain") and find_spec("speechbrain") is None:
            continue
        for precision in ("float32", "bfloat16"):
            for compiled in (False, True) if options.device == "cuda" else (False,):
                if compiled and precision == "float32":
                    continue  # half of the compilations; bfloat16 is what a GPU trains in
                rows.append(_step(net, precision, compiled, options))
                print(rows[-1], flush=True)
    return rows


def _step(net: str, precision: str, compiled: bool, options: argparse.Namespace) -> Row:
    cuda = options.device == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    options.compile = compiled
    step = stepper(f"{net}, {precision}", options)
    for _ in range(WARM_UP if cuda else 1):
        step()
    prepared = time.perf_counter() - start
    start = time.perf_counter()
    for _ in range(options.steps):
        step()
    seconds = (time.perf_counter() - start) / options.steps
    peak = torch.cuda.max_memory_allocated() / 2**30 if cuda else None
    return {
        "net": net,
        "precision": precision,
        "compiled": compiled,
        "prepared_seconds": prepared,
        "step_ms": 1000 * seconds,
        "utterances_per_second": options.batch / seconds,
        "peak_gib": peak,
    }


def make_corpus(folder: Path, small: bool) -> None:
    """The embedded corpus with its manifest, trials and features, by the pipeline's own stages."""
    params = YAML().load(ROOT / "params.yaml")
    params["features"]["num_mels"] = 72  # what ReDimNet takes
    if small:
        params["synthetic"].update(SMALL)
        params["trials"]["per_group"] = 200
    YAML().dump(params, folder / "params.yaml")
    for stage in STAGES:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", f"pipelines.{stage}"], cwd=folder, check=True)
        print(f"{stage}: {time.perf_counter() - start:.0f} s", flush=True)


def run_params(folder: Path, system: str, encoder: str, options: argparse.Namespace, epochs: int) -> Params:
    """A run of the study: the system's params with another encoder."""
    changes = {
        "model.speaker_encoder": encoder,
        "train.epochs": epochs,
        "train.dev_every": min(epochs, 8),
        "train.device": options.device,
        "train.precision": "bfloat16",
    }
    if options.device == "cpu":
        changes |= {"train.batch_size": 8, "train.precision": "float32"}  # which every CPU computes in
    return with_overrides(load_params(folder / "params.yaml").resolve(system), changes)


def time_loop(folder: Path, system: str, encoder: str, options: argparse.Namespace) -> Row:
    """Utterances a second of the training loop, and the share of its time that making batches costs.

    The share is 1 − t/T: T is the time of an epoch, t that of one whose batches are all its first one.
    """
    params = run_params(folder, system, encoder, options, 4 if options.device == "cuda" else 2)
    data = load_training_data(folder / "data").train
    made = loop.batches
    drawn = _epoch_seconds(params, data, options)
    loop.batches = lambda *given: iter([next(made(*given))] * len(given[1]))  # type: ignore[assignment]
    constant = _epoch_seconds(params, data, options)
    count = len(data) // params.train.batch_size * params.train.batch_size
    return {"utterances_per_second": count / drawn, "waiting_share": 1 - constant / drawn}


def _epoch_seconds(params: Params, data: TrainingSet, options: argparse.Namespace) -> float:
    """Of the fastest epoch but the first."""
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as states:
        loop.train(
            params,
            data,
            torch_device(options.device),
            lambda model: {"eer": 0.5},
            lambda record: ends.append(time.perf_counter()),
            Path(states) / "state",
        )
    return min(later - earlier for earlier, later in pairwise(ends))


def train_and_test(folder: Path, system: str, encoder: str, options: argparse.Namespace) -> Row:
    """One run of the study: seconds of training, and EERs on the test split."""
    params = run_params(folder, system, encoder, options, options.epochs)
    data, device = load_training_data(folder / "data"), torch_device(options.device)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as states:
        model = train_system(params, data, Path(states)).model
    seconds = time.perf_counter() - start
    test = load_split(folder / "data", "test")
    metrics = evaluate_system(model, data.train.languages, test, params.evaluate, device).metrics
    return {
        "epochs": options.epochs,
        "seconds": seconds,
        "added_parameters_percent": metrics["added_parameters_percent"],
        "language_probe_accuracy": metrics["language_probe_accuracy"],
        "eer": {name: metrics["conditions"][name]["eer"] for name in CONDITIONS},
    }


JOBS = {"loop": time_loop, "run": train_and_test}


def in_processes(jobs: list[tuple[str, str, str]], at_once: int, options: argparse.Namespace) -> list[Row]:
    """Results of jobs (kind, system, encoder), each in a process of its own, `at_once` of them at a time."""

    def start(job: tuple[str, str, str]) -> Row:
        command = [sys.executable, __file__, "--job", *job, "--corpus", str(options.corpus)]
        command += ["--device", options.device, "--epochs", str(options.epochs)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        row = {"system": job[1], "encoder": job[2]}
        row |= {"failed": done.returncode} if done.returncode else json.loads(done.stdout.splitlines()[-1])
        print(row, flush=True)
        return row

    with ThreadPoolExecutor(at_once) as threads:
        rows = list(threads.map(start, jobs))
    if failed := [f"{row['system']} {row['encoder']}" for row in rows if "failed" in row]:
        print(f"failed, see above: {', '.join(failed)}", file=sys.stderr, flush=True)
    return [row for row in rows if "failed" not in row]


def tables(found: dict[str, Any]) -> str:
    """The Markdown of docs/benchmarks.md."""
    parts = [
        f"{found['device']}, torch {found['torch']}, batch {found['batch']} × {found['crop_seconds']:g} s.",
        _steps_table(found.get("steps", [])),
        _loop_table(found.get("loop", [])),
        _backbones_table(found.get("backbones", [])),
    ]
    return "\n\n".join(part for part in parts if part)


def _table(header: str, rows: list[list[str]]) -> str:
    """A Markdown table, or nothing where there are no rows; `header` has its cells separated by commas."""
    if not rows:
        return ""
    cells = [header.split(", "), ["---"] * len(rows[0]), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _steps_table(steps: list[Row]) -> str:
    times = {(row["net"], row["precision"], row["compiled"]): row["step_ms"] for row in steps}
    rows = []
    for (net, precision, compiled), time_ms in times.items():
        row = steps[len(rows)]
        theirs = times.get((NETS[0], precision, compiled)) if "ECAPA" in net else None
        rows.append(
            [
                net,
                precision,
                "yes" if compiled else "no",
                f"{time_ms:.1f}",
                f"{row['utterances_per_second']:,.0f}",
                f"{theirs / time_ms:.2f}" if theirs else "",
                f"{times[net, 'float32', False] / time_ms:.2f}",
                f"{row['peak_gib'] or 0:.2f}",
            ]
        )
    return _table(
        "net, precision, compiled, ms a step, utterances/s, × SpeechBrain, × float32, peak GiB", rows
    )


def _loop_table(loops: list[list[Row]]) -> str:
    rows = []
    for runs in loops:
        rates = [run["utterances_per_second"] for run in runs]
        waiting = sum(run["waiting_share"] for run in runs) / len(runs)
        each = "; ".join(f"{rate:,.0f}" for rate in rates)
        rows.append(
            [str(len(runs)), runs[0]["encoder"], each, f"{sum(rates):,.0f}", f"{100 * waiting:.0f} %"]
        )
    return _table("runs on the card, encoder, utterances/s of each, all together, waiting for batches", rows)


def _backbones_table(runs: list[Row]) -> str:
    rows = [
        [
            run["encoder"],
            run["system"],
            str(run["epochs"]),
            *(f"{100 * run['eer'][name]:.2f}" for name in CONDITIONS),
            f"{100 * run['language_probe_accuracy']:.1f}",
            f"{run['added_parameters_percent']:.2f} %",
            f"{run['seconds']:.0f}",
        ]
        for run in runs
    ]
    header = "encoder, system, epochs, cross / same, same / same, all, probe, added parameters, seconds"
    return _table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--steps", type=int, default=50, help="that are timed")
    parser.add_argument("--epochs", type=int, help="of each backbone; 48, on a CPU 1")
    parser.add_argument("--at-once", type=int, help="backbones trained at the same time; 6, on a CPU 1")
    parser.add_argument("--parts", nargs="+", default=["steps", "loop", "backbones"])
    parser.add_argument("--encoders", nargs="+", default=ENCODERS)
    parser.add_argument("--output", type=Path, default=Path("gpu.json"))
    parser.add_argument("--table", type=Path, help="print the tables of this file and measure nothing")
    parser.add_argument(
        "--corpus", type=Path, help="a folder with params.yaml and data/, instead of a new one"
    )
    parser.add_argument("--job", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.table:
        print(tables(json.loads(options.table.read_text(encoding="utf-8"))))
        return
    device, cuda = torch_device(options.device), options.device == "cuda"
    options.epochs = options.epochs or (48 if cuda else 1)
    if options.job:
        kind, system, encoder = options.job
        print(json.dumps(JOBS[kind](options.corpus, system, encoder, options)))
        return
    options.batch, options.seconds = (128, 2.0) if cuda else (4, 0.5)
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if cuda else "CPU",
        "torch": torch.__version__,
        "batch": options.batch,
        "crop_seconds": options.seconds,
    }
    with tempfile.TemporaryDirectory() as made:
        if options.corpus is None and set(options.parts) & {"loop", "backbones"}:
            options.corpus = Path(made)
            make_corpus(options.corpus, small=not cuda)
        if "steps" in options.parts:
            found["steps"] = measure_steps(options)
            write(options.output, found)
        if "loop" in options.parts:
            job = ("loop", "laspa", "ecapa_512")
            found["loop"] = [in_processes([job] * count, count, options) for count in (1, 2)]
            write(options.output, found)
        if "backbones" in options.parts:
            jobs = [("run", system, encoder) for encoder in options.encoders for system in SYSTEMS]
            found["backbones"] = in_processes(jobs, options.at_once or (6 if cuda else 1), options)
            write(options.output, found)
    print(tables(found))


def write(path: Path, found: dict[str, Any]) -> None:
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
