"""`laspa embed`, `verify`, `enrol` and `identify`: what they print, and their status."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from laspa.cli.main import main
from tests.small_model import calibrate, record, small_model, voice


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model with a calibration, two recordings of one voice, one of another, a silent one."""
    place = tmp_path_factory.mktemp("cli")
    calibrate(small_model(place / "model"), any=(10, -5, 0.999))
    small_model(place / "other", seed=1)
    (place / "sound").mkdir()
    record(place / "sound/a.wav", voice(2, 1))
    record(place / "sound/b.wav", voice(2, 1) * 0.5)
    record(place / "sound/c.wav", voice(2, 5))
    record(place / "silent.wav", np.zeros(16_000))
    record(place / "stereo.wav", np.stack([voice(1, 1), voice(1, 2)], axis=1))
    return place


@pytest.fixture(autouse=True)
def _here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def refused(capsys, arguments, *words):
    """Bad input: one line, status 2."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1, printed.err
    for word in ("error: ", *words):
        assert word in printed.err


def test_verify_says_it_by_its_status_too(capsys):
    assert main(["verify", "sound/a.wav", "sound/b.wav", "--model", "model"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("same speaker\nscore        1.000, threshold 0.999\nprobability  0.993")
    assert main(["verify", "sound/a.wav", "sound/c.wav", "--model", "model", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["same"] is False
    assert found["log_likelihood_ratio"] == pytest.approx(10 * found["score"] - 5)
    assert found["languages"][0].keys() == {"code", "posterior"}
    assert main(["verify", "sound/a.wav", "sound/c.wav", "--model", "other", "--threshold", "-1"]) == 0
    assert "there is no calibration" in capsys.readouterr().out


def test_embed_takes_files_a_folder_and_a_manifest(capsys):
    for number, sources in enumerate((["sound/a.wav", "sound/b.wav"], ["sound"])):
        output = f"out{number}.parquet"
        assert main(["embed", *sources, "--model", "model", "--output", output]) == 0
    table = pq.read_table("out1.parquet")
    assert table["utterance_id"].to_pylist() == ["a.wav", "b.wav", "c.wav"]
    vectors = np.stack(table["vector"].to_numpy())
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(vectors[:2], np.stack(pq.read_table("out0.parquet")["vector"].to_numpy()))
    Path("list.csv").write_text("path,utterance_id\nsound/c.wav,one\nsilent.wav,two\n")
    command = ["embed", "list.csv", "--model", "model", "--output", "out2.parquet"]
    capsys.readouterr()
    refused(capsys, command, "silent.wav: silent from end to end")
    assert not Path("out2.parquet").exists()
    assert main([*command, "--on-bad-audio", "skip"]) == 0
    assert pq.read_table("out2.parquet")["utterance_id"].to_pylist() == ["one"]
    skipped = Path("out2.skipped.csv").read_text()
    assert skipped.splitlines()[1] == '"two","silent from end to end"'


def test_enrol_and_identify(capsys):
    for name in "ac":
        assert main(["enrol", "people.parquet", name, f"sound/{name}.wav", "--model", "model"]) == 0
    capsys.readouterr()
    assert main(["identify", "people.parquet", "sound/b.wav", "--model", "model", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [match["name"] for match in found] == ["a", "c"]
    refused(capsys, ["identify", "people.parquet", "sound/b.wav", "--model", "other"], "of another model")
    refused(
        capsys, ["enrol", "people.parquet", "a", "sound/a.wav", "--model", "model"], "'a' is enrolled already"
    )
    refused(capsys, ["enrol", "people.parquet", "../a", "sound/a.wav", "--model", "model"], "name '../a'")
    refused(capsys, ["enrol", "silent.wav/x.parquet", "a", "sound/a.wav", "--model", "model"], "silent.wav")
    refused(capsys, ["identify", "nobody.parquet", "sound/a.wav", "--model", "model"], "no such store")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", "sound/a.wav", "missing.wav"], ["missing.wav: no such file"]),
        (["verify", "sound/a.wav", "silent.wav"], ["silent.wav: silent"]),
        (["verify", "sound/a.wav", "stereo.wav"], ["stereo.wav: its 2 channels differ", "--channel 1"]),
        (["verify", "sound/a.wav", "sound/b.wav", "--far", "0.5"], ["--far 0.5", "0.01"]),
        (["verify", "sound/a.wav", "sound/b.wav", "--prior", "0"], ["prior is 0"]),
        (["verify", "sound/a.wav", "sound/b.wav", "--threshold", "nan"], ["threshold is nan"]),
        (["verify", "sound/a.wav", "sound/b.wav", "--model", "other"], ["has no calibration.json"]),
        (["verify", "sound/a.wav", "sound/b.wav", "--model", "none"], ["none: no such model folder"]),
        (["embed", "sound", "--output", "x.txt"], ["ends in .parquet"]),
        (["embed", "model", "--output", "x.parquet"], ["holds no recordings"]),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, words, capsys):
    refused(capsys, [*arguments] if "--model" in arguments else [*arguments, "--model", "model"], *words)


def test_help_answers_at_once():
    seconds = []
    for _ in range(3):  # the fastest: other work may take the processor
        start = time.perf_counter()
        command = [sys.executable, "-m", "laspa.cli.main", "--help"]
        subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parents[2])
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5


def test_a_name_that_is_not_utf_8_is_named(tmp_path, capsys):
    (tmp_path / "caf\udce9.wav").write_bytes(b"x")
    command = [
        "embed",
        str(tmp_path / "caf\udce9.wav"),
        "--model",
        "gone",
        "--output",
        str(tmp_path / "o.parquet"),
    ]
    assert main(command) == 2
    assert "caf\\xe9.wav: its name is not UTF-8; rename it" in capsys.readouterr().err
