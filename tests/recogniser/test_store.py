"""The enrolment store: nearest names, refused input, two writers at once, a killed one."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from laspa.errors import LaspaError
from laspa.recogniser import store as module
from laspa.recogniser.store import Store

ROOT = Path(__file__).parents[2]


def unit(rows: int, seed: int = 0, size: int = 8) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_nearest_names_come_first(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS_PER_GROUP", 7)  # several groups
    store, vectors = Store(tmp_path / "people.parquet", "m"), unit(50)
    assert store.enrol([f"p{row}" for row in range(49)], vectors[:49], [1] * 49) == 49
    assert store.enrol(["p49"], vectors[49:], [2]) == 50
    order = np.argsort(-(vectors @ vectors[20]))
    found = store.identify(vectors[20], top=4)
    assert [match.name for match in found] == [f"p{row}" for row in order[:4]]
    np.testing.assert_allclose([one.score for one in found], (vectors @ vectors[20])[order[:4]], atol=1e-6)
    assert len(store.identify(vectors[0], top=100)) == 50


def test_an_enrolled_name_is_replaced_only_when_asked(tmp_path):
    store, vectors = Store(tmp_path / "people.parquet", "m"), unit(3)
    store.enrol(["ann", "bob"], vectors[:2], [1, 1])
    with pytest.raises(LaspaError, match="'ann' is enrolled already"):
        store.enrol(["carl", "ann"], vectors[1:], [1, 1])
    assert len(store.identify(vectors[0])) == 2
    assert store.enrol(["ann"], vectors[2:], [1], replace=True) == 2
    assert store.identify(vectors[2])[0].name == "ann"


@pytest.mark.parametrize("name", ["", " ", "a/b", "..", "a..b", "a\\b", "a\nb"])
def test_a_name_that_could_be_a_path_is_refused(name, tmp_path):
    with pytest.raises(LaspaError, match="must not be empty, nor hold"):
        Store(tmp_path / "people.parquet", "m").enrol([name], unit(1), [1])
    assert not list(tmp_path.iterdir())


def test_another_model_other_sizes_and_no_store_are_refused(tmp_path):
    path = tmp_path / "people.parquet"
    with pytest.raises(LaspaError, match="no such store"):
        Store(path, "m").identify(unit(1)[0])
    Store(path, "m").enrol(["ann"], unit(1), [1])
    with pytest.raises(LaspaError, match=r"of another model \(m, this one is other"):
        Store(path, "other")
    with pytest.raises(LaspaError, match="8 dimensions, not 4"):
        Store(path, "m").identify(unit(1, size=4)[0])
    with pytest.raises(LaspaError, match="8 dimensions, not 4"):
        Store(path, "m").enrol(["bob"], unit(1, size=4), [1])
    with pytest.raises(LaspaError, match="a name comes twice"):
        Store(path, "m").enrol(["bob", "bob"], unit(2), [1, 1])
    path.write_bytes(b"half")
    with pytest.raises(LaspaError, match="not a store"):
        Store(path, "m")


WRITER = """
import sys
import numpy as np
from laspa.recogniser.store import Store
path, prefix, rows, times = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store, vectors = Store(path, "m"), np.tile(np.eye(1, 192, dtype=np.float32), (rows, 1))
print("ready", flush=True)
for turn in range(times):
    store.enrol([f"{prefix}{turn}-{row}" for row in range(rows)], vectors, [1] * rows)
"""


def writer(path: Path, prefix: str, rows: int, times: int) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITER, str(path), prefix, str(rows), str(times)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_writers_lose_nothing(tmp_path):
    path = tmp_path / "people.parquet"
    both = [writer(path, prefix, 1, 10) for prefix in "ab"]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    vector = np.eye(1, 192, dtype=np.float32)[0]
    assert len(Store(path, "m").identify(vector, top=100)) == 20


def test_a_killed_enrolment_leaves_the_store_whole(tmp_path):
    path = tmp_path / "people.parquet"
    vectors = np.eye(2, 192, dtype=np.float32)
    Store(path, "m").enrol(["ann"], vectors[:1], [1])
    before = path.read_bytes()
    process = writer(path, "p", 200_000, 1)
    while not (left := list(tmp_path.glob("*.tmp")) or list(tmp_path.glob(".*.tmp"))):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left[0].exists()
    assert path.read_bytes() == before
    assert Store(path, "m").enrol(["bob"], vectors[1:], [1]) == 2
    assert not left[0].exists()
    assert [match.name for match in Store(path, "m").identify(vectors[0])] == ["ann", "bob"]


def test_a_store_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("no folder")
    for path in (tmp_path / "file" / "people.parquet", Path("/proc/people.parquet")):
        with pytest.raises(LaspaError, match=r"people\.parquet: cannot be written here"):
            Store(path, "m").enrol(["ann"], unit(1), [1])
