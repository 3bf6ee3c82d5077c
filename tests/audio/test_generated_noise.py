"""Generated noise and music: spectra, and that the seed decides the samples."""

import numpy as np
import pytest
from scipy.signal import welch

from laspa.audio import generated_noise as noises


def test_the_noises_spectrum_falls_with_the_slope_that_was_drawn() -> None:
    slopes = []
    for seed in range(6):
        drawn = np.random.default_rng(seed).uniform(0, noises.STEEPEST)
        hertz, power = welch(
            noises.coloured_noise(160_000, np.random.default_rng(seed)), 16_000, nperseg=1024
        )
        band = (hertz > 200) & (hertz < 6000)
        slopes.append(drawn)
        measured = -np.polyfit(np.log(hertz[band]), np.log(power[band]), 1)[0]
        assert measured == pytest.approx(drawn, abs=0.12)
    assert max(slopes) - min(slopes) > 0.5


def test_music_has_the_notes_of_the_scale() -> None:
    heard = noises.music(16_000 * 8, np.random.default_rng(3)).astype(np.float64)
    hertz, power = welch(heard, 16_000, nperseg=16_384)
    peak = hertz[np.argmax(power)]
    semitones = 12 * np.log2(peak / noises.LOWEST_NOTE_HZ)
    # A note, or a harmonic of one: 2, 3 and 4 lie on the scale too, to 0.02 of a semitone; bins to 0.1.
    assert abs(semitones - round(semitones)) < 0.15
    assert power.max() > 1000 * np.median(power)


@pytest.mark.parametrize("make", [noises.coloured_noise, noises.music])
@pytest.mark.parametrize("samples", [1, 100, 31_999])
def test_length_and_seed(make, samples: int) -> None:
    one, again, other = (make(samples, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (samples,)
    assert one.dtype == np.float32
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, again)
    assert samples < 2 or not np.array_equal(one, other)
