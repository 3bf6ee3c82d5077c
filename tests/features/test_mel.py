"""Log-mels against torchaudio, against a naive derivation in double precision, and by hand."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from laspa.audio.reading import SAMPLE_RATE
from laspa.errors import LaspaError
from laspa.features import mel
from laspa.features.settings import LOG_FLOOR, framing, num_frames
from laspa.features.torchaudio_shim import EXTENSION
from laspa.params import Features

SETTINGS = Features(num_mels=80, window_ms=25.0, hop_ms=10.0, low_hz=20.0, high_hz=7600.0, shard_utterances=8)


def speechlike(samples: int, seed: int = 0) -> np.ndarray:
    """Noise under a slowly moving envelope, with a tone: loud and quiet bands, as in speech."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / SAMPLE_RATE
    envelope = 0.02 + 0.1 * np.sin(2 * np.pi * 3 * time) ** 2
    tone = 0.2 * np.sin(2 * np.pi * (300 + 200 * time) * time)
    return (envelope * rng.standard_normal(samples) + tone).astype(np.float32)


def naive_log_mel(signal: np.ndarray, settings: Features) -> np.ndarray:
    """The definition, written out in float64: windows, a DFT by its matrix, triangles on the HTK scale."""
    window, hop, size = (round(value * 16) for value in (settings.window_ms, settings.hop_ms, 32.0))
    n = np.arange(window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / window)
    bins = np.arange(size // 2 + 1)
    dft = np.exp(-2j * np.pi * np.outer(bins, n) / size)
    left = (size - window) // 2
    starts = range(0, len(signal) - size + 1, hop)
    frames = np.stack([signal[start + left : start + left + window] for start in starts]).astype(np.float64)
    power = np.abs((frames * hann) @ dft.T) ** 2

    def to_mel(hz: float) -> float:
        return 2595 * np.log10(1 + hz / 700)

    marks = np.linspace(to_mel(settings.low_hz), to_mel(settings.high_hz), settings.num_mels + 2)
    edges = 700 * (10 ** (marks / 2595) - 1)
    bands = np.zeros((len(power), settings.num_mels))
    for band in range(settings.num_mels):
        low, middle, high = edges[band : band + 3]
        for k in bins:
            hz = k * 16000 / size
            weight = min((hz - low) / (middle - low), (high - hz) / (high - middle))
            if weight > 0:
                bands[:, band] += weight * power[:, k]
    log = np.log(np.maximum(bands, LOG_FLOOR))
    return log - log.mean(axis=0)


@pytest.mark.parametrize("samples", [512, 671, 672, 16_000, 400_001])
def test_equals_torchaudio(samples: int) -> None:
    from torchaudio.transforms import MelSpectrogram  # after the shim

    reference = MelSpectrogram(
        SAMPLE_RATE,
        n_fft=512,
        win_length=400,
        hop_length=160,
        f_min=20.0,
        f_max=7600.0,
        n_mels=80,
        center=False,
    )
    signal = speechlike(samples)
    expected = reference(torch.from_numpy(signal)).T.numpy()
    actual = mel.mel_power(signal, SETTINGS)
    assert actual.shape == (num_frames(samples, SETTINGS), 80)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
    # Beside a loud tone both are 5e-5 from double precision; half precision rounds to 5e-4.
    np.testing.assert_allclose(np.log(actual), np.log(expected), rtol=0, atol=1e-4)


def test_equals_a_naive_derivation_in_double_precision() -> None:
    signal = speechlike(8000)
    actual = mel.log_mel(signal, SETTINGS)
    expected = naive_log_mel(signal, SETTINGS)
    assert actual.dtype == np.float16
    # Half precision rounds to 2⁻¹¹ of the value; the largest here is below 8.
    np.testing.assert_allclose(actual.astype(np.float64), expected, rtol=2**-11, atol=2e-4)


@pytest.mark.parametrize(("samples", "frames"), [(511, 0), (512, 1), (671, 1), (672, 2), (16_000, 97)])
def test_frames_lie_wholly_inside(samples: int, frames: int) -> None:
    assert num_frames(samples, SETTINGS) == frames
    if frames:
        assert mel.log_mel(speechlike(samples), SETTINGS).shape == (frames, 80)


def test_sizes_by_hand() -> None:
    assert framing(SETTINGS) == (400, 160, 512)
    assert framing(SETTINGS.model_copy(update={"window_ms": 32.0}))[2] == 512
    assert framing(SETTINGS.model_copy(update={"window_ms": 32.1}))[2] == 1024


def test_each_band_has_mean_zero_and_gain_does_not_matter() -> None:
    signal = speechlike(32_000)
    loud = mel.log_mel(signal, SETTINGS).astype(np.float64)
    quiet = mel.log_mel(signal * np.float32(0.5), SETTINGS).astype(np.float64)
    assert np.abs(loud.mean(axis=0)).max() < 1e-3
    np.testing.assert_allclose(loud, quiet, atol=2e-3)


def test_a_tone_is_loudest_in_its_band() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(4000) / SAMPLE_RATE).astype(np.float32)
    loudest = mel.mel_power(tone, SETTINGS).mean(axis=0).argmax()
    # 1000 Hz is 1000 mel; the bands' centres lie 34.0 mel apart from 31.7 mel: (1000 - 31.7) / 34.0 = 28.5.
    assert int(loudest) + 1 in (28, 29)


def test_digital_silence_is_finite_and_flat() -> None:
    assert np.abs(mel.log_mel(np.zeros(2000, dtype=np.float32), SETTINGS)).max() < 1e-5


def test_long_recordings_are_computed_in_blocks_with_equal_values(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = speechlike(50_000)
    whole = mel.mel_power(signal, SETTINGS)
    monkeypatch.setattr(mel, "BLOCK_FRAMES", 100)
    np.testing.assert_array_equal(mel.mel_power(signal, SETTINGS), whole)


@pytest.mark.parametrize("samples", [0, 1, 511])
def test_shorter_than_a_frame_is_an_error(samples: int) -> None:
    with pytest.raises(LaspaError, match=f"{samples} samples at 16000 Hz, but one frame needs 512"):
        mel.log_mel(np.zeros(samples, dtype=np.float32), SETTINGS)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_an_error(bad: float) -> None:
    signal = speechlike(4000)
    signal[2000] = bad
    with pytest.raises(LaspaError, match="1 of 4000 samples are NaN or infinite"):
        mel.log_mel(signal, SETTINGS)


def test_bands_that_the_transform_cannot_resolve_are_an_error() -> None:
    with pytest.raises(LaspaError, match=r"num_mels is 200 but \d+ of these bands"):
        mel.log_mel(speechlike(4000), SETTINGS.model_copy(update={"num_mels": 200}))


def test_torchaudio_is_imported_without_its_extension() -> None:
    """Also where the extension loads: what is used must not need it."""
    program = f"""
import importlib, sys
from laspa.features import torchaudio_shim
for name in [name for name in sys.modules if name.startswith("torchaudio")]:
    del sys.modules[name]
sys.modules[{EXTENSION!r}] = torchaudio_shim._stand_in()
import torch, torchaudio.transforms, torchaudio.functional
mel = torchaudio.transforms.MelSpectrogram(16000, n_fft=512, n_mels=40)
assert mel(torch.ones(1600)).shape == (40, 7)
try:
    torchaudio.functional.forced_align(torch.zeros(1, 4, 3), torch.ones(1, 1, dtype=torch.int32))
except RuntimeError as error:
    assert "compiled extension" in str(error), error
else:
    raise AssertionError("forced_align must say that it needs the extension")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
