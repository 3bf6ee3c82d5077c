"""Kaldi's filter banks against two other implementations and against kaldi's definition written out."""

import numpy as np
import pytest
import torch

from laspa.errors import LaspaError
from laspa.features import torchaudio_shim  # noqa: F401 (before torchaudio)
from laspa.features.kaldi import fbank, log_fbank
from laspa.features.mel import log_mel
from laspa.features.settings import mel_params, mel_settings, num_frames
from laspa.params import Features

SETTINGS = Features(
    kind="kaldi", num_mels=80, window_ms=25, hop_ms=10, low_hz=20, high_hz=8000, shard_utterances=8
)
LOUD = SETTINGS.model_copy(update={"kaldi_full_scale": 32768, "kaldi_window": "hamming"})


def speechlike(samples: int, seed: int = 0) -> np.ndarray:
    """Noise under a moving envelope, with a tone and a constant offset.

    Without noise between the syllables, bands 100 dB below the frame's loudest one hold rounding only: there
    torchaudio and kaldi-native-fbank differ from each other by 2e-3.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    envelope = 0.02 + 0.1 * np.sin(2 * np.pi * 3 * time) ** 2
    tone = 0.2 * np.sin(2 * np.pi * (300 + 200 * time) * time)
    return (envelope * rng.standard_normal(samples) + tone + 0.01).astype(np.float32)


@pytest.mark.parametrize("settings", [SETTINGS, LOUD])
@pytest.mark.parametrize("samples", [400, 559, 560, 50_000])
def test_equals_torchaudio(samples: int, settings: Features) -> None:
    import torchaudio.compliance.kaldi as reference

    signal, scale = speechlike(samples), settings.kaldi_full_scale
    expected = reference.fbank(
        torch.from_numpy(signal)[None] * scale, num_mel_bins=80, window_type=settings.kaldi_window
    ).numpy()
    found = fbank(signal, settings)
    assert found.shape == expected.shape == (num_frames(samples, settings), 80)
    assert np.abs(found + 2 * np.log(scale) - expected).max() < 1e-3


@pytest.mark.parametrize("settings", [SETTINGS, LOUD])
def test_equals_kaldi_native_fbank(settings: Features) -> None:
    reference = pytest.importorskip("kaldi_native_fbank", reason="kaldi-native-fbank is not installed")
    signal, scale = speechlike(50_000), settings.kaldi_full_scale
    options = reference.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.window_type = settings.kaldi_window
    options.mel_opts.num_bins = 80
    computed = reference.OnlineFbank(options)
    computed.accept_waveform(16_000, (signal * scale).tolist())
    computed.input_finished()
    expected = np.stack([computed.get_frame(frame) for frame in range(computed.num_frames_ready)])
    found = fbank(signal, settings)
    assert found.shape == expected.shape
    assert np.abs(found + 2 * np.log(scale) - expected).max() < 1e-3


def test_equals_the_definition() -> None:
    signal = speechlike(16_000, seed=1)
    frame = signal[160 * 7 : 160 * 7 + 400].astype(np.float64)
    frame = frame - frame.mean()
    frame = np.array([frame[n] - 0.97 * frame[max(n - 1, 0)] for n in range(400)])
    frame *= (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    power = np.abs(np.fft.rfft(frame, 512)) ** 2

    def mel(hz: float) -> float:
        return float(1127 * np.log(1 + hz / 700))

    step = (mel(8000) - mel(20)) / 81
    for band in (0, 40, 79):
        left = mel(20) + band * step
        weights = [min(mel(k * 31.25) - left, left + 2 * step - mel(k * 31.25)) / step for k in range(256)]
        energy = sum(weight * power[k] for k, weight in enumerate(weights) if weight > 0)
        assert fbank(signal, SETTINGS)[7, band] == pytest.approx(np.log(energy), abs=1e-3)


def test_silence_is_floored_by_the_scale_of_the_samples() -> None:
    silence = np.zeros(1000, dtype=np.float32)
    np.testing.assert_allclose(fbank(silence, SETTINGS), np.log(2.0**-23), rtol=1e-6)
    np.testing.assert_allclose(fbank(silence, LOUD), np.log(2.0**-53), rtol=1e-6)


def test_log_mel_computes_the_kind_of_the_settings() -> None:
    signal = speechlike(8000)
    found = log_mel(signal, SETTINGS)
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, log_fbank(signal, SETTINGS))
    np.testing.assert_allclose(found.astype(float).mean(axis=0), 0, atol=2e-3)
    assert num_frames(8000, SETTINGS) == len(found) == 48
    assert num_frames(8000, SETTINGS.model_copy(update={"kind": "mel"})) == 47


def test_settings_are_carried() -> None:
    stored = mel_settings(LOUD)
    assert stored["kind"] == "kaldi"
    assert mel_params(stored).model_dump(exclude={"shard_utterances"}) == LOUD.model_dump(
        exclude={"shard_utterances"}
    )
    assert "kind" not in mel_settings(SETTINGS.model_copy(update={"kind": "mel"}))


def test_bad_signals_and_bands() -> None:
    with pytest.raises(LaspaError, match=r"399 samples .* one frame needs 400 \(25 ms\)"):
        fbank(np.zeros(399, dtype=np.float32), SETTINGS)
    with pytest.raises(LaspaError, match="1 of 1000 samples are NaN"):
        log_fbank(np.append(np.zeros(999), np.nan).astype(np.float32), SETTINGS)
    with pytest.raises(LaspaError, match=r"num_mels is 200 but .* hold no frequency"):
        fbank(speechlike(4000), SETTINGS.model_copy(update={"num_mels": 200}))
