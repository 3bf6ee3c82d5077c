"""Generated noise and music, for use without recordings of them."""

import numpy as np
from scipy import fft

from laspa.audio.reading import SAMPLE_RATE

STEEPEST = 2.0  # of exponents n in power ∝ 1 / frequencyⁿ: 0 is white, 1 pink, 2 brown
LOWEST_HZ = 50.0  # the spectrum is flat below
LEVELS_PER_SECOND = 4  # points of the curve that the noise's level follows
LEVEL_DB = 4.0  # standard deviation of these points
# Our choices of what to call music: notes of a few harmonics that start together and die away.
LOWEST_NOTE_HZ, OCTAVES, HARMONICS, NOTES_AT_ONCE = 110.0, 3, 6, 3
NOTE_SECONDS = (0.15, 0.6)


def coloured_noise(samples: int, generator: np.random.Generator) -> np.ndarray:
    """(samples,) float32 noise with a random spectral slope and a slowly changing level."""
    size = fft.next_fast_len(samples, real=True)
    hertz = np.maximum(fft.rfftfreq(size, 1 / SAMPLE_RATE), LOWEST_HZ)
    gain = (hertz / LOWEST_HZ) ** (-generator.uniform(0, STEEPEST) / 2)
    noise = fft.irfft(gain * fft.rfft(generator.standard_normal(size)), size)[:samples]
    points = generator.normal(0, LEVEL_DB, 2 + samples * LEVELS_PER_SECOND // SAMPLE_RATE)
    level_db = np.interp(np.arange(samples), np.arange(len(points)) * SAMPLE_RATE / LEVELS_PER_SECOND, points)
    return (noise * 10 ** (level_db / 20)).astype(np.float32)


def music(samples: int, generator: np.random.Generator) -> np.ndarray:
    """(samples,) float32 chords of the twelve-tone scale, one after the other."""
    chords = np.zeros(samples)
    start = 0
    while start < samples:
        length = min(samples - start, int(SAMPLE_RATE * generator.uniform(*NOTE_SECONDS)))
        seconds = np.arange(length) / SAMPLE_RATE
        for semitone in generator.integers(0, 12 * OCTAVES, NOTES_AT_ONCE):
            hertz = LOWEST_NOTE_HZ * 2 ** (semitone / 12)
            for harmonic in range(1, HARMONICS + 1):
                fading = np.exp(-seconds * harmonic / NOTE_SECONDS[1])
                tone = fading * np.sin(2 * np.pi * harmonic * hertz * seconds) / harmonic
                chords[start : start + length] += tone
        start += length
    return chords.astype(np.float32)
