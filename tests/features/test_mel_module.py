"""The log-mels of exported graphs against those of the pipeline."""

import numpy as np
import pytest
import torch

from laspa.errors import LaspaError
from laspa.features.front_ends import FRONT_ENDS
from laspa.features.mel import log_mel
from laspa.features.mel_module import LogMel, front_end
from laspa.features.settings import num_frames
from laspa.params import Features


@pytest.mark.parametrize("window_ms", [25.0, 319 / 16, 32.0])  # 400 samples, an odd number, a power of two
@pytest.mark.parametrize("hop_ms", [10.0, 12.5])
def test_values_are_those_of_the_pipeline_up_to_the_rounding_to_half_precision(window_ms, hop_ms):
    settings = Features(
        num_mels=40, window_ms=window_ms, hop_ms=hop_ms, low_hz=20, high_hz=7600, shard_utterances=1
    )
    generator = np.random.default_rng(0)
    for samples in (512, 700, 4000, 12_345):
        loudness = 10 ** generator.uniform(-4, -1, size=samples)
        signal = (generator.normal(size=samples) * loudness).astype(np.float32)
        expected = log_mel(signal, settings).astype(np.float32)
        found = LogMel(settings)(torch.from_numpy(signal)[None])[0].numpy()
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 0.004  # the last bit of a value of up to 8
        assert (found == expected).mean() > 0.9


@pytest.mark.parametrize("options", [{}, {"kaldi_window": "hamming", "kaldi_full_scale": 32768}])
def test_values_of_kaldi_are_those_of_the_pipeline_up_to_rounding(options):
    settings = Features(
        kind="kaldi",
        num_mels=40,
        window_ms=25,
        hop_ms=10,
        low_hz=20,
        high_hz=7600,
        shard_utterances=1,
        **options,
    )
    generator = np.random.default_rng(0)
    for samples in (400, 700, 12_345):
        signal = (0.02 + generator.normal(size=samples) * 0.1).astype(np.float32)
        expected = log_mel(signal, settings).astype(np.float32)
        found = front_end(settings)(torch.from_numpy(signal)[None])[0].numpy()
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 0.004
        assert (found == expected).mean() > 0.9


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_public_front_ends_have_the_frames_that_are_counted_and_survive_silence(name):
    for samples in (400, 559, 560, 12_345):
        mel = log_mel(np.zeros(samples, dtype=np.float32), FRONT_ENDS[name])
        assert mel.shape == (num_frames(samples, FRONT_ENDS[name]), FRONT_ENDS[name].num_mels)
        assert np.abs(mel).max() < 1  # NeMo's deviations are divided by themselves and 1e-5
    assert num_frames(399, FRONT_ENDS[name]) == 0
    with pytest.raises(LaspaError, match="399 samples"):
        log_mel(np.zeros(399, dtype=np.float32), FRONT_ENDS[name])


def test_silence_is_finite_and_zero():
    settings = Features(num_mels=40, window_ms=25, hop_ms=10, low_hz=20, high_hz=7600, shard_utterances=1)
    assert LogMel(settings)(torch.zeros(2, 4000)).abs().max() < 1e-5
