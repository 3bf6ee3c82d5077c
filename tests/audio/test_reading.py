"""Reading recordings of every kind, and the plain word for each that cannot be used."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from laspa.audio.decoders import READ
from laspa.audio.quality import AudioInfo, check_audio
from laspa.audio.reading import SAMPLE_RATE, read_audio
from laspa.errors import LaspaError


def sine(rate: int, hertz: float = 1000.0, seconds: float = 1.0) -> np.ndarray:
    """Amplitude a half."""
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def check(path: Path, min_seconds: float = 0.5) -> AudioInfo:
    return check_audio(path, path.read_bytes(), min_seconds)


@pytest.mark.parametrize(
    ("suffix", "subtype", "step"),  # one step of the depth: writers truncate or round
    [
        ("wav", "PCM_16", 2**-15),
        ("wav", "PCM_24", 2**-23),
        ("wav", "FLOAT", 2**-25),
        ("wav", "PCM_U8", 2**-7),
        ("flac", "PCM_16", 2**-15),
        ("flac", "PCM_24", 2**-23),
    ],
)
def test_every_depth_is_read_to_its_precision(tmp_path: Path, suffix: str, subtype: str, step: float) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, sine(SAMPLE_RATE), SAMPLE_RATE, subtype)
    samples = read_audio(path)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, sine(SAMPLE_RATE), atol=step + 2**-24)
    assert check(path) == AudioInfo(SAMPLE_RATE, SAMPLE_RATE, "")


def test_sixteen_bits_are_read_exactly(tmp_path: Path) -> None:
    integers = np.arange(-32768, 32768, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", integers, SAMPLE_RATE, "PCM_16")
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), integers / 32768)


@pytest.mark.parametrize(("suffix", "subtype"), [("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III")])
def test_lossy_files_are_read(tmp_path: Path, suffix: str, subtype: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, sine(SAMPLE_RATE), SAMPLE_RATE, subtype=subtype)
    spectrum = np.abs(np.fft.rfft(read_audio(path)[:SAMPLE_RATE]))
    assert np.argmax(spectrum) == pytest.approx(1000, abs=2)
    assert check(path).problem == ""


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_channels_are_averaged(tmp_path: Path, subtype: str) -> None:
    left, right = sine(SAMPLE_RATE, 500), sine(SAMPLE_RATE, 700)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), SAMPLE_RATE, subtype)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), (left + right) / 2, atol=2**-15)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled_and_a_sine_keeps_its_frequency_and_level(
    tmp_path: Path, rate: int
) -> None:
    soundfile.write(tmp_path / "a.wav", sine(rate), rate, "PCM_24")
    samples = read_audio(tmp_path / "a.wav")
    assert len(samples) == pytest.approx(SAMPLE_RATE, abs=1)
    middle = samples[2000:-2000]
    expected = sine(SAMPLE_RATE)[2000 : 2000 + len(middle)]
    np.testing.assert_allclose(middle, expected, atol=2e-3)
    # The manifest keeps what the file has.
    assert check(tmp_path / "a.wav") == AudioInfo(rate, rate, "")


def test_what_lies_above_half_the_rate_does_not_fold_back(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sine(44_100, 10_000), 44_100, "PCM_24")
    assert np.abs(read_audio(tmp_path / "a.wav")[2000:-2000]).max() < 1e-3


def test_each_bad_recording_is_named(tmp_path: Path) -> None:
    def problem(samples: np.ndarray, subtype: str = "PCM_16", rate: int = SAMPLE_RATE) -> str:
        soundfile.write(tmp_path / "a.wav", samples, rate, subtype)
        return check(tmp_path / "a.wav").problem

    good = sine(SAMPLE_RATE)
    too_short = "are shorter than manifest.min_seconds, 0.5 s"
    assert problem(good[:1]) == f"1 samples at 16000 Hz {too_short}"
    assert problem(good[:0]) == f"0 samples at 16000 Hz {too_short}"
    assert problem(good[:7_999]) == f"7999 samples at 16000 Hz {too_short}"
    assert problem(good[:8_000]) == ""
    assert problem(sine(44_100)[:22_049], rate=44_100) == f"22049 samples at 44100 Hz {too_short}"
    assert problem(0 * good) == "silent from end to end"
    assert problem(np.where(np.arange(SAMPLE_RATE) == 5, 2**-15, 0)) == "silent from end to end"
    assert problem(np.where(np.arange(SAMPLE_RATE) == 5, 2**-13, 0)) == ""
    for value in (np.nan, np.inf):
        assert problem(np.where(np.arange(SAMPLE_RATE) == 5, value, good), "FLOAT") == (
            "samples that are not finite"
        )


def test_files_that_are_no_recordings_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"")
    assert check(path) == AudioInfo(0, 0, "the file is empty")
    for content in (b"not audio at all" * 99, b"RIFF\x00\x00\x00\x00WAVE"):
        path.write_bytes(content)
        found = check(path)
        assert found.num_samples == 0
        assert found.problem.startswith("cannot be decoded (")
        assert found.problem.endswith(f"): damaged, cut short, or none of {READ}")
        with pytest.raises(LaspaError, match=r"a\.wav: cannot be decoded \("):
            read_audio(path)


def test_a_flac_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, SAMPLE_RATE), SAMPLE_RATE)
    path.write_bytes(path.read_bytes()[:-9_000])
    assert check(path).problem != ""


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LaspaError, match=r"gone\.wav: no such file$"):
        read_audio(tmp_path / "gone.wav")
