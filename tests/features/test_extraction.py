"""Features from audio files: order, bytes, resuming after a kill, bad recordings."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from laspa.errors import LaspaError
from laspa.features import cache, extraction
from laspa.features.extraction import Utterance, extract
from laspa.features.mel import log_mel
from laspa.features.store import FeatureStore
from laspa.params import Features

ROOT = Path(__file__).parents[2]
SETTINGS = Features(num_mels=40, window_ms=25.0, hop_ms=10.0, low_hz=20.0, high_hz=7600.0, shard_utterances=3)


def record(path: Path, seed: int, samples: int = 6000) -> Utterance:
    rng = np.random.default_rng(seed)
    signal = (3000 * rng.standard_normal(samples + 100 * seed)).astype(np.int16)
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, signal, 16_000)
    return Utterance(f"s{seed % 2}/en/{path.stem}", path, f"sha-{seed}")


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    return [record(tmp_path / "audio" / f"{seed}.wav", seed) for seed in range(8)]


def run(
    utterances: list[Utterance], root: Path, workers: int = 1, settings: Features = SETTINGS
) -> dict[str, bytes]:
    extract(utterances, settings, root / "features", root / "partial", workers)
    return {path.name: path.read_bytes() for path in sorted((root / "features").iterdir())}


def test_what_is_stored_is_the_log_mel_in_manifest_order(utterances: list[Utterance], tmp_path: Path) -> None:
    files = run(utterances, tmp_path)
    assert list(files) == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert [path.name for path in (tmp_path / "partial").iterdir()] == [extraction.CACHE]
    store = FeatureStore(tmp_path / "features")
    assert store.utterance_ids == [one.utterance_id for one in utterances]
    for one in utterances:
        signal = soundfile.read(one.path, dtype="float32")[0]
        np.testing.assert_array_equal(store.get(one.utterance_id), log_mel(signal, SETTINGS))


def test_bytes_do_not_depend_on_the_number_of_processes(utterances: list[Utterance], tmp_path: Path) -> None:
    assert run(utterances, tmp_path / "a", workers=1) == run(utterances, tmp_path / "b", workers=2)


def test_finished_shards_are_kept_and_the_rest_is_made(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(utterances, tmp_path / "whole")
    made: list[str] = []
    compute_shard = extraction.compute_shard

    def failing(shard: extraction.Shard) -> None:
        made.append(shard.path.name)
        if len(made) == 2:
            raise OSError(28, "No space left on device")
        compute_shard(shard)

    monkeypatch.setattr(extraction, "compute_shard", failing)
    with pytest.raises(OSError, match="No space left"):
        run(utterances, tmp_path / "again")
    assert not (tmp_path / "again" / "features").exists()
    unfinished = next((tmp_path / "again" / "partial").iterdir())
    (unfinished / ".part-00001.parquet.1.tmp").write_bytes(b"left by a killed process")
    assert run(utterances, tmp_path / "again") == expected
    assert made == ["part-00000.parquet", "part-00001.parquet", "part-00001.parquet", "part-00002.parquet"]


def test_unfinished_work_of_other_inputs_is_not_used(utterances: list[Utterance], tmp_path: Path) -> None:
    wrong = [Utterance(one.utterance_id, one.path, "another sha") for one in utterances]
    stale = tmp_path / "partial" / f"features-{extraction._digest(wrong, SETTINGS)[:16]}"
    stale.mkdir(parents=True)
    (stale / "part-00000.parquet").write_bytes(b"stale")
    run(utterances, tmp_path)
    assert not stale.exists()
    digests = {
        extraction._digest(given, settings)
        for given in (utterances, wrong, utterances[::-1])
        for settings in (
            SETTINGS,
            SETTINGS.model_copy(update={"hop_ms": 5.0}),
            SETTINGS.model_copy(update={"shard_utterances": 4}),
        )
    }
    assert len(digests) == 9


def test_killed_in_the_middle_it_resumes_and_no_worker_is_left(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    """SIGKILL to the parent only, once the first shard is there: the workers must end by themselves."""
    program = f"""
import sys
from pathlib import Path
sys.path[:0] = {sys.path!r}
from laspa.features.extraction import Utterance, extract
from laspa.params import Features

def main():
    paths = sorted(Path({str(tmp_path / "audio")!r}).iterdir())
    utterances = [Utterance(f"s{{int(path.stem) % 2}}/en/{{path.stem}}", path, f"sha-{{path.stem}}")
                  for path in paths]
    root = Path({str(tmp_path)!r})
    extract(utterances, Features(**{SETTINGS.model_dump()!r}), root / "features", root / "partial", 2)

if __name__ == "__main__":
    main()
"""
    # The third shard's first recording is a pipe that nobody writes to: the run cannot finish.
    pipe = utterances[6].path
    content = pipe.read_bytes()
    pipe.unlink()
    os.mkfifo(pipe)
    script = tmp_path / "killed.py"
    script.write_text(program)
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "partial").glob("*/part-*.parquet"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    finished = {
        path.name: path.stat().st_mtime_ns for path in (tmp_path / "partial").glob("*/part-*.parquet")
    }
    process.send_signal(signal.SIGKILL)
    process.wait()
    while _members(process.pid):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)
    pipe.unlink()
    pipe.write_bytes(content)
    run(utterances, tmp_path)
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "features").iterdir()}
    assert len(after) == 3
    assert finished.items() <= after.items()
    assert FeatureStore(tmp_path / "features").utterance_ids == [one.utterance_id for one in utterances]


def _members(group: int) -> list[str]:
    """Processes of a process group that are alive."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = stat.read_text().rsplit(")", 1)
        except OSError:
            continue
        state, _, its_group = rest.split()[:3]
        if int(its_group) == group and state != "Z":
            alive.append(name)
    return alive


def test_a_recording_shorter_than_a_frame_is_named(utterances: list[Utterance], tmp_path: Path) -> None:
    soundfile.write(utterances[4].path, np.ones(300, dtype=np.int16), 16_000)
    with pytest.raises(LaspaError, match=r"utterance s0/en/4 \(.*4\.wav\): 300 samples .* needs 512"):
        run(utterances, tmp_path)
    assert not (tmp_path / "features").exists()


def test_a_missing_recording_is_named(utterances: list[Utterance], tmp_path: Path) -> None:
    utterances[5].path.unlink()
    with pytest.raises(LaspaError, match=r"5\.wav"):
        run(utterances, tmp_path)


def test_no_utterances_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LaspaError, match="no utterances"):
        run([], tmp_path)


def test_what_stood_there_is_replaced_as_a_whole(utterances: list[Utterance], tmp_path: Path) -> None:
    run(utterances, tmp_path)
    files = run(utterances[:2], tmp_path)
    assert list(files) == ["part-00000.parquet"]


def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The recordings that are read from here on: to compute a log-mel is to read one."""
    read: list[str] = []
    real = extraction.read_audio

    def counting(path: Path) -> np.ndarray:
        read.append(path.stem)
        return real(path)

    monkeypatch.setattr(extraction, "read_audio", counting)
    return read


def test_only_a_new_speaker_is_computed_and_the_bytes_are_those_of_a_full_run(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS.model_copy(update={"shard_utterances": 70})  # more than a row group
    many = [record(tmp_path / "audio" / f"{seed}.wav", seed) for seed in range(8, 75)]
    old = utterances[1:] + many
    read = computed(monkeypatch)
    run(old, tmp_path / "grown", settings=settings)
    assert len(read) == 74
    read.clear()
    everything = [utterances[0], *old]  # ahead of all others: every shard moves
    grown = run(everything, tmp_path / "grown", settings=settings)
    assert read == ["0"]
    read.clear()
    assert grown == run(everything, tmp_path / "full", settings=settings)
    assert len(read) == 75
    read.clear()
    assert run(old, tmp_path / "grown", settings=settings) == run(
        old, tmp_path / "again", settings=settings
    )  # one less
    assert len(read) == 74  # of the second of the two


def test_other_names_and_order_compute_nothing_and_another_content_or_setting_does(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = computed(monkeypatch)
    run(utterances, tmp_path)
    read.clear()
    renamed = [one._replace(utterance_id=f"x/{one.utterance_id}") for one in reversed(utterances)]
    run(renamed, tmp_path)
    assert not read
    store = FeatureStore(tmp_path / "features")
    assert store.utterance_ids[0] == renamed[0].utterance_id
    run([renamed[0]._replace(sha256="other"), *renamed[1:]], tmp_path)
    assert read == ["7"]
    read.clear()
    run(renamed, tmp_path, settings=SETTINGS.model_copy(update={"hop_ms": 5.0}))
    assert len(read) == 8


def test_what_other_code_has_computed_is_not_reused(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(utterances, tmp_path)
    read = computed(monkeypatch)
    monkeypatch.setattr("laspa.features.cache.version", lambda library: "another")
    cache.computation_digest.cache_clear()
    run(utterances, tmp_path)
    cache.computation_digest.cache_clear()
    assert len(read) == 8


def test_kept_log_mels_are_links_and_only_those_of_the_last_run(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    run(utterances, tmp_path)
    kept = tmp_path / "partial" / extraction.CACHE
    for file in (tmp_path / "features").iterdir():
        assert (kept / file.name).samefile(file)
    run(utterances[:2], tmp_path)
    assert sorted(path.name for path in kept.iterdir()) == ["index.parquet", "part-00000.parquet"]


def test_damaged_links_are_named(utterances: list[Utterance], tmp_path: Path) -> None:
    run(utterances, tmp_path)
    kept = tmp_path / "partial" / extraction.CACHE
    (kept / "part-00001.parquet").unlink()
    (kept / "part-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(LaspaError, match=r"part-00001\.parquet: not a readable Parquet file"):
        run(utterances[::-1], tmp_path)
