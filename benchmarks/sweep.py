"""What a sweep costs beside its trials, and the memory that trials share.

python benchmarks/sweep.py [--trials 8] [--epochs 4] [--concurrent 2]

Run it in a checkout whose pipeline has run. A trial's own time is what its worker spends in training. A sweep
adds the rest of the time from the first trial's start to the last one's end and, once, its own start and end.
Memory is the proportional set size of all the trials' processes, in which a page that several share counts
once: features that each trial copied would show in each.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from ruamel.yaml import YAML

from laspa.errors import LaspaError
from laspa.features.store import MEL_DTYPE, FeatureStore

ROOT = Path.cwd()
MEBIBYTE = 2**20
LOOK_SECONDS = 0.5
SPACE = {"seed": {"integer": [1, 10_000]}}


def project(folder: Path, changes: dict[str, object]) -> None:
    """The params of this checkout with these settings under `tune`, its data behind a link."""
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    params["tune"].update({"space": SPACE, "scheduler": "none", "grace_epochs": 1, "sampler": "random"})
    params["tune"].update(changes)
    folder.mkdir()
    yaml.dump(params, folder / "params.yaml")
    (folder / "data").mkdir()
    for name in ("manifest.parquet", "trials", "features"):
        (folder / "data" / name).symlink_to(ROOT / "data" / name)


class Memory(threading.Thread):
    """The most memory that the trials' processes under `parent` use at once, looked at every half second."""

    def __init__(self, parent: int) -> None:
        super().__init__(daemon=True)
        self._parent = psutil.Process(parent)
        self.peak, self.most = 0.0, 0
        self._ended = threading.Event()

    def run(self) -> None:
        """Look until `end` is called."""
        while not self._ended.wait(LOOK_SECONDS):
            held = []
            for process in self._children():
                try:
                    if "ImplicitFunc" in " ".join(process.cmdline()):
                        held.append(process.memory_full_info().pss)
                except psutil.Error:
                    continue
            self.most = max(self.most, len(held))
            self.peak = max(self.peak, sum(held) / MEBIBYTE)

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()
        self.join()

    def _children(self) -> list[psutil.Process]:
        try:
            return self._parent.children(recursive=True)
        except psutil.Error:
            return []


def sweep(changes: dict[str, object]) -> dict[str, float]:
    """Run one; its seconds, the seconds that trials ran, the sum of their own times, and memory in MiB."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "project"
        project(folder, changes)
        times = Path(temporary) / "times"
        environment = os.environ | {"PYTHONPATH": str(ROOT), "LASPA_TRIAL_TIMES": str(times)}
        began = time.time()
        driver = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--driver"],
            cwd=folder,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        memory = Memory(driver.pid)
        memory.start()
        _, said = driver.communicate()
        memory.end()
        if driver.returncode:
            raise LaspaError(f"the sweep ended with {driver.returncode}: {said[-2000:]}")
        total = time.time() - began
        spans = [json.loads(line) for line in times.read_text().splitlines()]
    first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    return {
        "total": total,
        "running": last - first,
        "own": sum(own for _, _, own in spans),
        "memory": memory.peak,
        "processes": memory.most,
    }


def timed_trial(config: dict[str, object], place: str, copies: Path, storage: object) -> None:
    """`train_trial`, its training timed in the worker, without the time that its reports take."""
    from laspa.training.run import train_system
    from pipelines.ray import trial

    def timed(params: object, data: object, states: object, report: Callable[[object], None]) -> None:
        waited = 0.0

        def reported(record: object) -> None:
            nonlocal waited
            before = time.time()
            report(record)
            waited += time.time() - before

        start = time.time()
        train_system(params, data, states, reported)  # type: ignore[arg-type]
        end = time.time()
        with open(os.environ["LASPA_TRIAL_TIMES"], "a", encoding="utf-8") as file:
            file.write(json.dumps([start, end, end - start - waited]) + "\n")

    trial.train_system = timed
    trial.train_trial(config, place, copies, storage)


def driver() -> None:
    """The stage tune with `timed_trial`, which is in no module and so is sent to the workers by value."""
    from pipelines import tune
    from pipelines.ray import sweep

    sweep.train_trial = timed_trial
    tune.main()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--concurrent", type=int, default=2)
    parser.add_argument("--memory-only", action="store_true")
    parser.add_argument("--driver", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.driver:
        driver()
        return
    store = FeatureStore(ROOT / "data/features")
    features = store.num_frames.sum() * store.num_mels * MEL_DTYPE.itemsize / MEBIBYTE
    if not options.memory_only:
        tune = {"trials": options.trials, "epochs": options.epochs, "concurrent": options.concurrent}
        found = sweep(tune)
        share = found["running"] * options.concurrent / found["own"] - 1
        print(f"{options.trials} trials of {options.epochs} epochs, {options.concurrent} at once")
        print(f"trials' own time {found['own']:.1f} s; beside it {100 * share:.1f} % while trials run")
        print(f"start and end of the sweep, once: {found['total'] - found['running']:.1f} s")
    print(f"features on disk: {features:.0f} MiB; trials at once, and their memory in MiB:")
    for count in (1, 2, 4):
        found = sweep({"trials": count, "epochs": 1, "concurrent": count, "cpus": 0.25})
        print(f"{found['processes']:>2} {found['memory']:>8.0f}")


if __name__ == "__main__":
    main()
