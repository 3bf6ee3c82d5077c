"""Recogniser: embeddings of whatever holds the sound, decisions by the languages heard, and bad input."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from laspa import Recogniser
from laspa.audio.reading import read_audio
from laspa.errors import LaspaError
from laspa.features.mel import log_mel
from laspa.features.settings import mel_params
from laspa.files import read_json, write_json
from laspa.models.saving import load_model
from laspa.recogniser import recogniser as module
from laspa.recogniser.runtime import Encoded
from tests.small_model import RATE, calibrate, record, small_model, voice


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("recogniser") / "model")


@pytest.fixture(scope="module")
def recogniser(folder):
    return Recogniser.load(folder, device="cpu")


def refused(message, function, *arguments, **options):
    with pytest.raises(LaspaError, match=message) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)


class Told:
    """A backend whose answers are known: the embedding is the mean sample and 1."""

    digest, dim, languages, folder, calibration = "told", 2, ["de", "en"], None, None

    def __init__(self, posterior=None):
        self.heard, self.posterior = [], posterior

    def encode(self, speech):
        self.heard.append(speech)
        return Encoded(np.array([speech.mean(), 1], dtype=np.float32), self.posterior)


def test_a_short_recording_gets_the_embedding_of_training(folder, recogniser, tmp_path):
    path = record(tmp_path / "a.wav", voice(2))
    model, config = load_model(folder)
    mel = log_mel(read_audio(path), mel_params(config["features"]["settings"]))
    with torch.inference_mode():
        wanted = model.eval().speaker_embedding(torch.from_numpy(mel).float()[None])[0].numpy()
    found = recogniser.embed(path)
    assert found.dtype == np.float32
    assert found.shape == (24,)
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found), 1, atol=1e-6)


def test_arrays_files_rates_channels_and_lists_agree(recogniser, tmp_path):
    sound = voice(2)
    path = record(tmp_path / "a.flac", sound)
    both = recogniser.embed([str(path), record(tmp_path / "b.wav", np.stack([sound, sound], axis=1))])
    assert both.shape == (2, 24)
    for other in (sound.astype(np.float64), (sound * 32768).astype(np.int16), sound[:, None]):
        assert recogniser.embed(other, sample_rate=RATE) @ both[0] > 0.9999
    assert both[0] @ both[1] > 0.9999
    wide = voice(2, rate=48_000)
    assert recogniser.embed(wide, sample_rate=48_000) @ both[0] > 0.95
    refused("sample_rate is None", recogniser.embed, sound)
    refused("array: of shape", recogniser.embed, sound[None], sample_rate=RATE)
    refused("int64", recogniser.embed, np.arange(RATE), sample_rate=RATE)
    refused("an empty list", recogniser.embed, [])


def test_long_speech_is_the_mean_over_equal_windows(monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 1.0)
    told = Told()
    sound = np.linspace(0.2, 1, round(2.5 * RATE), dtype=np.float32)
    found = Recogniser(told).embed(sound, sample_rate=RATE)
    assert [len(speech) for speech in told.heard] == [13334, 13334, 13332]
    each = [np.array([speech.mean(), 1]) for speech in told.heard]
    mean = np.mean([vector / np.linalg.norm(vector) for vector in each], axis=0)
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-6)


def test_silence_is_left_out_and_little_speech_refused(recogniser):
    told = Told()
    silence = np.zeros(2 * RATE, dtype=np.float32)
    sound = np.concatenate([silence, voice(1), silence])
    heard = Recogniser(told).hear(sound, RATE)
    assert 1.0 <= heard.seconds <= 1.4
    assert sum(map(len, told.heard)) == pytest.approx(heard.seconds * RATE, abs=1)
    assert Recogniser(told).hear(sound, RATE, vad="none").seconds == 5
    short = np.concatenate([silence, voice(0.1)])
    refused(r"array: 0\.\d\d s of speech in 2\.10 s, at least 0\.5 s", recogniser.embed, short, RATE)
    refused("vad is 'loud'; energy, silero, none", recogniser.embed, sound, RATE, vad="loud")


def test_two_channels_that_differ_need_a_choice(recogniser, tmp_path):
    two = np.stack([voice(2, 1), voice(2, 2)], axis=1)
    path = record(tmp_path / "call.wav", two)
    refused(r"call\.wav: its 2 channels differ .* --channel 1 to 2, or --channel mix", recogniser.embed, path)
    for channel in (1, 2):
        assert recogniser.embed(path, channel=channel) @ recogniser.embed(two[:, channel - 1], RATE) > 0.9999
    assert recogniser.embed(path, channel="mix") @ recogniser.embed(two.mean(axis=1), RATE) > 0.9999
    refused(r"--channel 3, but it has 2", recogniser.embed, path, channel=3)
    opposite = np.stack([two[:, 0], -two[:, 0]], axis=1)  # their mean is silence
    refused("channels differ", recogniser.embed, opposite, RATE)
    one_sided = np.stack([two[:, 0], np.zeros(len(two))], axis=1)
    assert recogniser.embed(one_sided, RATE) @ recogniser.embed(two[:, 0], RATE) > 0.999


def test_bad_recordings_are_named(recogniser, tmp_path):
    whole = record(tmp_path / "whole.wav", voice(2)).read_bytes()
    broken = voice(1)
    broken[8000] = np.nan
    bad = {
        "empty.wav": (b"", "the file is empty"),
        "cut.wav": (whole[: len(whole) // 2], "cut short"),
        "text.wav": (b"not sound at all", "cannot be decoded"),
    }
    for name, (content, message) in bad.items():
        (tmp_path / name).write_bytes(content)
        refused(f"{name}: {message}", recogniser.embed, tmp_path / name)
    refused("missing.wav: no such file", recogniser.embed, tmp_path / "missing.wav")
    refused("is a folder", recogniser.embed, tmp_path)
    silent = record(tmp_path / "silent.wav", np.zeros(RATE))
    refused(r"silent\.wav: silent from end to end", recogniser.embed, silent)
    refused(r"NaN or infinite in 1 of 32 frames, the first at 0\.48 s", recogniser.embed, broken, RATE)
    refused("holds no samples", recogniser.embed, np.empty(0), RATE)


def test_a_decision_is_made_by_the_languages_heard(folder, tmp_path):
    calibrate(folder, any=(1, 0, 0.3), same=(2, -1, 0.6), different=(4, 1, 0.1))
    try:
        for posterior, heard, slope, offset, threshold in (
            ([0.1, 0.9], "same", 2, -1, 0.6),
            ([0.4, 0.6], "any", 1, 0, 0.3),
            (None, "any", 1, 0, 0.3),
        ):
            told = Told(None if posterior is None else np.array(posterior, dtype=np.float32))
            told.folder, told.digest = folder, Recogniser.load(folder).digest
            found = Recogniser(told).verify(voice(1), voice(1), sample_rate=RATE)
            ratio = slope * found.score + offset
            assert found.languages_heard == heard
            assert found.log_likelihood_ratio == pytest.approx(ratio)
            assert found.probability == pytest.approx(1 / (1 + np.exp(-ratio)))
            assert (found.threshold, found.same) == (threshold, True)
        at_one_percent = Recogniser(told).verify(voice(1), voice(1), far=0.01, prior=0.1, sample_rate=RATE)
        assert at_one_percent.threshold == pytest.approx(0.4)
        odds = np.exp(found.score) / 9
        assert at_one_percent.probability == pytest.approx(odds / (1 + odds))
        refused(r"--far 0.02: .* for 0.01", Recogniser(told).verify, voice(1), voice(1), far=0.02)
        refused("prior is 1;", Recogniser(told).verify, voice(1), voice(1), prior=1.0)
    finally:
        (folder / "calibration.json").unlink()


def test_a_model_without_calibration_verifies_by_an_explicit_threshold_alone(recogniser):
    sounds = voice(1), voice(1)
    refused("has no calibration.json", recogniser.verify, *sounds, sample_rate=RATE)
    found = recogniser.verify(*sounds, threshold=0.5, sample_rate=RATE)
    assert (found.same, found.probability, found.log_likelihood_ratio) == (True, None, None)
    assert found.languages[0].code in ("de", "en")


def test_a_model_without_language_head_hears_none(tmp_path):
    changes = {"loss_weights.nll": 0, "loss_weights.mapc": 0, "loss_weights.mse": 0}
    recogniser = Recogniser.load(small_model(tmp_path / "model", changes), device="cpu")
    assert recogniser.hear(voice(1), RATE).language is None


def test_what_is_no_usable_model_is_named(folder, tmp_path):
    refused("nowhere: no such model folder", Recogniser.load, tmp_path / "nowhere")
    refused(r"config\.json: no such file", Recogniser.load, tmp_path)
    other = small_model(tmp_path / "other")
    config = read_json(other / "config.json")
    for change, message in (
        ({"digest": "of another version"}, "are not computed by this laspa"),
        ({"settings": config["features"]["settings"] | {"sample_rate": 8000}}, "8000"),
    ):
        write_json(other / "config.json", config | {"features": config["features"] | change})
        refused(message, Recogniser.load, other)
    write_json(other / "config.json", {key: value for key, value in config.items() if key != "features"})
    refused("saved by an older laspa", Recogniser.load, other)
    calibrate(folder, any=(1, 0, 0))
    found = read_json(folder / "calibration.json")
    recogniser = Recogniser.load(folder)
    for change, message in (({"form": 0}, "form is 0"), ({"model": "of another"}, "of another model")):
        write_json(folder / "calibration.json", found | change)
        refused(message, recogniser.verify, voice(1), voice(1), sample_rate=RATE)
    (folder / "calibration.json").unlink()


MEMORY = """
import resource, sys
from laspa import Recogniser
recogniser = Recogniser.load(sys.argv[1], device="cpu")
recogniser.hear(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
heard = recogniser.hear(sys.argv[3])
print(heard.seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_three_hours_need_little_memory(folder, tmp_path):
    rate = 8000
    minute = np.concatenate([voice(5, rate=rate), np.zeros(55 * rate, dtype=np.float32)])
    short = record(tmp_path / "short.flac", minute, rate)
    long = record(tmp_path / "long.flac", np.tile(minute, 180), rate)
    command = [sys.executable, "-c", MEMORY, *map(str, (folder, short, long))]
    seconds, grown = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    ).stdout.split()
    assert 900 < float(seconds) < 1000  # 180 times five seconds, and what is kept around each
    assert int(grown) < 100  # MiB; the samples alone are 660 MiB


def test_importing_it_loads_neither_torch_nor_the_pipeline_s_tools():
    tools = ("torch", "pandas", "mlflow", "dvc", "ray", "great_expectations")
    code = f"import sys; from laspa import Recogniser; print([m for m in {tools} if m in sys.modules])"
    command = [sys.executable, "-c", code]
    root = Path(__file__).parents[2]
    assert subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout == "[]\n"
