"""The recording channel: what it keeps, what it varies, and that strength 0 is a clean studio."""

import numpy as np
import pytest
from scipy import signal

from laspa.corpora.synthetic.corpus import record

RATE = 16_000


def speech(samples: int = 2 * RATE) -> np.ndarray:
    """Noise in bursts: a spectrum without holes, and louder and softer moments."""
    generator = np.random.default_rng(7)
    bursts = 0.2 + np.sin(np.arange(samples) / RATE * 2 * np.pi * 3) ** 2
    return (0.1 * bursts * generator.standard_normal(samples)).astype(np.float32)


def gain_db(heard: np.ndarray, said: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies, and the level of `heard` over `said` at each."""
    hertz, power = signal.welch(heard, RATE, nperseg=512)
    return hertz, 10 * np.log10(power / signal.welch(said, RATE, nperseg=512)[1])


@pytest.mark.parametrize("strength", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("samples", [9_600, 16_001, 50_000])
def test_shape_is_kept_and_the_level_stays_in_its_range(strength: float, samples: int) -> None:
    levels = []
    for seed in range(20):
        heard = record(speech(samples), strength, np.random.default_rng(seed))
        assert heard.shape == (samples,)
        assert heard.dtype == np.float32
        assert np.abs(heard).max() <= 1
        levels.append(20 * np.log10(heard.std()))
    assert -30.01 <= min(levels) < -27
    assert -21 < max(levels) <= -17.99


def test_strength_zero_changes_the_level_and_the_ends_of_the_band_alone() -> None:
    said = speech()
    for seed in range(5):
        hertz, gain = gain_db(record(said, 0.0, np.random.default_rng(seed)), said)
        speech_band = gain[(hertz >= 200) & (hertz <= 5500)]
        assert np.ptp(speech_band) < 0.6
        # The filters of any recorder: a high-pass at 60 Hz, a low-pass at 7.8 kHz.
        assert gain[0] < speech_band.mean() - 3
        assert gain[-1] < speech_band.mean() - 3


def test_strength_varies_spectrum_noise_and_echo() -> None:
    said = speech()
    said[RATE:] = 0  # what is heard here is noise and echo
    clean, wide = ([record(said, s, np.random.default_rng(i)) for i in range(8)] for s in (0.0, 1.0))
    tails_clean, tails_wide = (
        [heard[RATE + 400 :].std() / heard[:RATE].std() for heard in group] for group in (clean, wide)
    )
    assert max(tails_clean) < 1e-3
    assert min(tails_wide) > 3e-3
    slopes = []
    for heard in wide:
        hertz, gain = gain_db(heard[:RATE], said[:RATE])
        inside = (hertz >= 300) & (hertz <= 4000)
        slopes.append(np.polyfit(np.log2(hertz[inside]), gain[inside], 1)[0])
    assert 0.5 < np.std(slopes) < 3.5  # dB an octave; 1.5 is drawn


def test_the_same_generator_gives_the_same_bytes_and_another_does_not() -> None:
    said = speech()
    first, again, other = (record(said, 1.0, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes()
    assert np.corrcoef(first, other)[0, 1] < 0.99
