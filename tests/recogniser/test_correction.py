"""The front door with a backend of `laspa backend fit`: its scores, its thresholds, its refusals."""

import numpy as np
import pytest

from laspa import Recogniser
from laspa.backend.parts import Speech, fit
from laspa.backend.saving import Backend, save_backend
from laspa.cli.main import main
from laspa.errors import LaspaError
from tests.small_model import RATE, record, small_model, voice

DECISION = {"slope": 2.0, "offset": -1.0, "thresholds": {"eer": 0.25, "far_0.01": 0.5}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("corrected") / "model")


@pytest.fixture(scope="module")
def backend(folder, tmp_path_factory):
    return learn(folder, tmp_path_factory.mktemp("backend") / "mine.backend")


def learn(folder, path, parts=("pair",), model=None, decision=DECISION, nearness=-1.0):
    recogniser = Recogniser.load(folder, "cpu")
    vectors = recogniser.embed([voice(1, seed) for seed in range(10)], sample_rate=RATE)
    speakers = np.array([f"s{number}" for number in range(10)])
    speech = Speech(vectors.astype(float), np.array(["en", "hi"] * 5), speakers)
    model = recogniser.digest if model is None else model
    fitted = fit(speech, parts, classify=True)
    save_backend(path, Backend(fitted, model, speakers.tolist(), [], decision, nearness, ""))
    return path


def test_a_pair_is_scored_and_decided_by_the_backend(folder, backend):
    plain, corrected = Recogniser.load(folder, "cpu"), Recogniser.load(folder, "cpu", backend=backend)
    voices = voice(1, 20), voice(1, 21)
    found = corrected.verify(*voices, sample_rate=RATE)
    one, other = plain.embed([*voices], sample_rate=RATE)
    means = corrected.correction.fitted.background
    spoken = [  # pair norm, written out
        np.array([heard.posterior if code == heard.code else 1 - heard.posterior for code in ("en", "hi")])
        for heard in found.languages
    ]
    expected = one @ other - (one @ (spoken[1] @ means) + other @ (spoken[0] @ means)) / 2
    assert found.score == pytest.approx(expected, abs=1e-5)
    assert found.log_likelihood_ratio == pytest.approx(2 * found.score - 1)
    assert found.threshold == 0.25
    assert corrected.verify(*voices, far=0.01, sample_rate=RATE).threshold == 0.5
    assert found.languages_heard == "any"


def test_a_backend_of_another_recogniser_or_without_calibration(folder, tmp_path):
    other = learn(folder, tmp_path / "other.backend", model="f" * 64)
    with pytest.raises(LaspaError, match=r"other.backend: was learnt of embeddings of the model ffff"):
        Recogniser.load(folder, "cpu", backend=other)
    short = learn(
        small_model(tmp_path / "short", {"model.embedding_dim": 8}), tmp_path / "s.backend", model=""
    )
    with pytest.raises(LaspaError, match=r"s.backend: was learnt of vectors of length 8, .* to another"):
        Recogniser.load(folder, "cpu", backend=short)
    bare = Recogniser.load(folder, "cpu", backend=learn(folder, tmp_path / "bare.backend", decision=None))
    with pytest.raises(LaspaError, match=r"bare.backend: has no calibration.* fit it on more speakers"):
        bare.verify(voice(1), voice(1), sample_rate=RATE)
    assert bare.verify(voice(1), voice(1), threshold=0.0, sample_rate=RATE).probability is None


def test_a_recording_that_is_far_from_all_that_was_learnt_is_suspected(folder, tmp_path, capsys):
    record(tmp_path / "a.wav", voice(1, 30))
    strict = learn(folder, tmp_path / "strict.backend", nearness=1.0)
    given = ["verify", str(tmp_path / "a.wav"), str(tmp_path / "a.wav"), "--model", str(folder)]
    assert main([*given, "--device", "cpu", "--backend", str(strict)]) in (0, 1)
    assert "a.wav: probably not recorded like the speakers that" in capsys.readouterr().err
    plain = learn(folder, tmp_path / "plain.backend", parts=(), nearness=1.0)  # scores are cosines anyway
    assert main([*given, "--device", "cpu", "--backend", str(plain)]) in (0, 1)
    assert capsys.readouterr().err == ""


def test_the_commands(folder, backend, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record(tmp_path / "a.wav", voice(1, 30))
    record(tmp_path / "b.wav", voice(1, 31))
    model = ["--model", str(folder), "--device", "cpu"]
    for name in ("a", "b"):
        assert main(["enrol", "people.parquet", name, f"{name}.wav", *model]) == 0
    capsys.readouterr()
    assert main(["identify", "people.parquet", "a.wav", "--backend", str(backend), *model]) == 0
    first = capsys.readouterr().out.splitlines()[0].split()
    assert first[1] == "a"
    corrected = Recogniser.load(folder, "cpu", backend=backend)
    assert float(first[0]) == pytest.approx(corrected.verify("a.wav", "a.wav").score, abs=2e-3)
    assert main(["verify", "a.wav", "a.wav", "--backend", str(backend), *model]) in (0, 1)
    assert "threshold 0.250" in capsys.readouterr().out
    assert main(["verify", "a.wav", "b.wav", "--backend", "none.backend", *model]) == 2
    assert "none.backend: no such file; make it by laspa backend fit" in capsys.readouterr().err
