"""What bfloat16 autocast costs in EER and saves in time: runs in both precisions, paired by seed.

Usage: python benchmarks/precision.py [--encoder tdnn] [--epochs 3] [--seeds 1 2 3] [--system laspa]

Reads the tables under data/, which `dvc repro` makes, and measures on the test split. `--system` is a key
of `systems` in params.yaml.
"""

import argparse
import tempfile
import time
from pathlib import Path

from laspa.evaluation.split import load_split
from laspa.evaluation.system import evaluate_system
from laspa.models.device import torch_device
from laspa.params import load_params, with_overrides
from laspa.report.seeds import interval
from laspa.training.run import load_training_data, train_system

CONDITIONS = ("cross_same", "same_same", "all")
PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--encoder", default="tdnn")
    parser.add_argument("--system", default="laspa")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--crop", type=float, default=0.75)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    params = load_params(Path(__file__).parents[1] / "params.yaml").resolve(options.system)
    changes = {
        "model.speaker_encoder": options.encoder,
        "train.epochs": options.epochs,
        "train.crop_seconds": options.crop,
        "train.dev_every": options.epochs,
    }
    data, test = load_training_data(options.data), load_split(options.data, "test")
    rates: dict[str, list[dict[str, float]]] = {name: [] for name in PRECISIONS}
    for seed in options.seeds:
        for precision in PRECISIONS:
            run = with_overrides(params, changes | {"seed": seed, "train.precision": precision})
            start = time.perf_counter()
            with tempfile.TemporaryDirectory() as states:
                trained = train_system(run, data, Path(states))
            seconds = time.perf_counter() - start
            device = torch_device(run.train.device)
            metrics = evaluate_system(trained.model, data.train.languages, test, run.evaluate, device).metrics
            found = {name: 100 * metrics["conditions"][name]["eer"] for name in CONDITIONS}
            rates[precision].append(found)
            shown = ", ".join(f"{name} {rate:.2f} %" for name, rate in found.items())
            print(f"seed {seed}, {precision:8}: {shown}, {seconds:.0f} s", flush=True)
    for name in CONDITIONS:
        pairs = zip(*(rates[precision] for precision in PRECISIONS), strict=True)
        found = interval([half[name] - single[name] for single, half in pairs])
        low_high = f"({found['low']:+.2f} to {found['high']:+.2f})"
        print(f"{name}: bfloat16 − float32 {found['mean']:+.2f} points {low_high}")


if __name__ == "__main__":
    main()
