"""Embeddings on a real Ray: the bytes of one process, a killed run resumed, errors in the same words."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from laspa.errors import LaspaError
from laspa.recogniser.shards import Job, embed_in_shards, local_engine
from pipelines.ray.embedding import ray_engine
from tests.small_model import record, small_model, voice

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
SIZE = 3  # recordings in a shard
KILLED = """
import sys
from pathlib import Path
from laspa.recogniser.shards import Job, embed_in_shards
from pipelines.ray.embedding import ray_engine
files = [(path.name, path) for path in sorted(Path(sys.argv[1]).iterdir())]
embed_in_shards(files, Path(sys.argv[2]), Job(sys.argv[3], skip=True), 3, ray_engine)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return small_model(tmp_path_factory.mktemp("model") / "model")


def made(folder: Path, count: int) -> list[tuple[str, Path]]:
    folder.mkdir()
    for number in range(count):
        silent = number == 4
        samples = np.zeros(16_000, np.float32) if silent else voice(1 + number % 7 / 10, seed=number)
        record(folder / f"{number:03d}.wav", samples)
    return [(path.name, path) for path in sorted(folder.iterdir())]


def same_bytes(one: Path, other: Path) -> None:
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_the_bytes_are_those_of_one_process_and_a_bad_recording_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    files = made(tmp_path / "recordings", 11)
    job = Job(str(model), skip=True)
    monkeypatch.chdir(tmp_path)  # workers start elsewhere
    assert embed_in_shards(files, Path("ray"), job, SIZE, ray_engine) == (10, 1)
    assert embed_in_shards(files, Path("local"), job, SIZE, local_engine) == (10, 1)
    same_bytes(Path("ray"), Path("local"))
    assert Path("ray.skipped.csv").read_bytes() == Path("local.skipped.csv").read_bytes()
    with pytest.raises(LaspaError, match=r"004\.wav: silent from end to end"):
        embed_in_shards(files, Path("failing"), Job(str(model)), SIZE, ray_engine)
    # A thread that calls Ray after it was left ends this process.
    assert not [
        thread.name for thread in threading.enumerate() if thread.name.startswith("StreamingExecutor")
    ]


def test_a_killed_run_goes_on_and_duplicates_nothing(model, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    files = made(tmp_path / "recordings", 300)
    arguments = [tmp_path / "recordings", tmp_path / "ray", model]
    running = subprocess.Popen(
        [sys.executable, "-c", KILLED, *map(str, arguments)],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "ray").glob("part-*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)  # Ray's own processes end with their driver
    running.wait()
    left = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "ray").glob("part-*")}
    assert 3 <= len(left) < 100
    job = Job(str(model), skip=True)
    assert embed_in_shards(files, tmp_path / "ray", job, SIZE, ray_engine) == (299, 1)
    for name, when in left.items():
        assert (tmp_path / "ray" / name).stat().st_mtime_ns == when
    names = pq.read_table(tmp_path / "ray")["utterance_id"].to_pylist()
    assert names == [name for name, _ in files if name != "004.wav"]
    embed_in_shards(files, tmp_path / "local", job, SIZE, local_engine)
    same_bytes(tmp_path / "ray", tmp_path / "local")
