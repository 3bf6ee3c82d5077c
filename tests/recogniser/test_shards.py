"""Embeddings in shards: order, resuming, bad recordings, and folders of other jobs."""

from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from laspa import Recogniser
from laspa.cli.main import main
from laspa.errors import LaspaError
from laspa.recogniser.shards import Job, embed_in_shards, local_engine
from tests.small_model import record, small_model, voice


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return small_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture
def recordings(tmp_path) -> Path:
    """Seven, of which the fourth is silent."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number in range(7):
        samples = np.zeros(16_000, np.float32) if number == 3 else voice(1 + number / 10, seed=number)
        record(folder / f"{number}.wav", samples)
    return folder


def embedded(model, recordings, output, *more):
    size = ["--shard-size", "3", "--on-bad-audio", "skip", "--vad", "none"]
    return main(["embed", str(recordings), "--model", str(model), "--output", str(output), *size, *more])


def test_shards_hold_each_recording_once_in_order_and_bad_ones_are_listed(model, recordings, tmp_path):
    assert embedded(model, recordings, tmp_path / "out") == 0
    parts = sorted(path.name for path in (tmp_path / "out").glob("part-*"))
    assert parts == ["part-000000.parquet", "part-000001.parquet", "part-000002.parquet"]
    table = pq.read_table(tmp_path / "out")
    assert table["utterance_id"].to_pylist() == [f"{number}.wav" for number in (0, 1, 2, 4, 5, 6)]
    expected = Recogniser.load(model).embed(recordings / "5.wav", vad="none")
    np.testing.assert_allclose(table["vector"][4].as_py(), expected, atol=1e-6)
    skipped = pyarrow.csv.read_csv(tmp_path / "out.skipped.csv").to_pylist()
    assert skipped == [{"utterance_id": "3.wav", "reason": "silent from end to end"}]


def test_a_run_that_ended_early_goes_on_and_its_shards_stay(model, recordings, tmp_path, capsys):
    files = [(path.name, path) for path in sorted(recordings.iterdir())]
    job = Job(str(model), vad="none", skip=True)

    def killed(job, shards):
        yield from list(local_engine(job, shards[:1]))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_in_shards(files, tmp_path / "out", job, 3, killed)
    first = tmp_path / "out" / "part-000000.parquet"
    before = first.stat().st_mtime_ns
    computed = []

    def counting(job, shards):
        computed.extend(shards)
        return local_engine(job, shards)

    assert embed_in_shards(files, tmp_path / "out", job, 3, counting) == (6, 1)
    assert len(computed) == 2
    assert first.stat().st_mtime_ns == before
    assert "1 of 3 shards are there already" in capsys.readouterr().out
    embed_in_shards(files, tmp_path / "whole", job, 3, local_engine)
    for path in sorted((tmp_path / "whole").iterdir()):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()


def test_a_shard_without_a_usable_recording_is_empty(model, tmp_path):
    silent = record(tmp_path / "silent.wav", np.zeros(16_000, np.float32))
    job = Job(str(model), skip=True)
    assert embed_in_shards([("a", silent)], tmp_path / "out", job, 3, local_engine) == (0, 1)
    assert pq.read_table(tmp_path / "out").num_rows == 0
    with pytest.raises(LaspaError, match=r"silent\.wav: silent from end to end"):
        embed_in_shards([("a", silent)], tmp_path / "failing", Job(str(model)), 3, local_engine)


def test_folders_of_other_jobs_are_refused(model, recordings, tmp_path, capsys):
    assert embedded(model, recordings, tmp_path / "out") == 0
    assert embedded(model, recordings, tmp_path / "out", "--shard-size", "4", "--vad", "energy") == 2
    assert "holds embeddings of another job, with another shard_size, vad;" in capsys.readouterr().err
    assert embedded(model, recordings, recordings) == 2
    assert "is there and not of an earlier run" in capsys.readouterr().err
    assert embedded(model, recordings, tmp_path / "one.parquet", "--engine", "ray") == 2
    assert "should name a folder" in capsys.readouterr().err
