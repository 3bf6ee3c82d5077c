"""The recording channel: level, spectral tilt, band, reverberation and noise, drawn for each utterance.

Without it, two utterances of a speaker would share the recording conditions, not only the voice.
"""

import numpy as np
from scipy import fft

ROOM_SECONDS = 0.25  # length of an impulse response
LOWEST_HZ = 20.0  # below it the gain is constant
DB_PER_OCTAVE = 20 * np.log10(2)  # of an amplitude that is proportional to frequency
REFERENCE_HZ = 1000.0  # where the spectral tilt leaves the level alone


def record(
    speech: np.ndarray, sample_rate: int, strength: float, generator: np.random.Generator
) -> np.ndarray:
    """`speech: (samples,)` float32 as a random microphone in a random room records it; same shape.

    `strength` scales every effect; at 0 only the level is set. Ranges are our choice.
    """
    size = fft.next_fast_len(len(speech) + int(sample_rate * ROOM_SECONDS), real=True)
    hertz = np.maximum(fft.rfftfreq(size, 1 / sample_rate), LOWEST_HZ).astype(np.float32)
    spectrum = fft.rfft(speech, size) * fft.rfft(_room(sample_rate, strength, generator), size)
    heard = fft.irfft(spectrum * _microphone(hertz, strength, generator), size)[: len(speech)]
    colour = (hertz / REFERENCE_HZ) ** -generator.uniform(0, 1)
    noise = fft.irfft(colour * generator.standard_normal(2 * len(hertz), np.float32).view(np.complex64), size)
    noise_db = -generator.uniform(15, 40)
    heard = heard + strength * _unit(noise[: len(speech)]) * heard.std() * 10 ** (noise_db / 20)
    level_db = generator.uniform(-30, -18)
    return (_unit(heard) * 10 ** (level_db / 20)).clip(-1, 1)


def _unit(samples: np.ndarray) -> np.ndarray:
    return samples / samples.std()


def _microphone(hertz: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Gain at each frequency: a tilt in dB per octave, a high-pass and a steeper low-pass."""
    tilt_db = strength * generator.normal(0, 1.5)
    low, high = 60 + strength * generator.uniform(0, 120), 7800 - strength * generator.uniform(0, 2500)
    below, above = np.square(low / hertz), np.square(hertz / high)
    band = 1 / np.sqrt((1 + np.square(below)) * (1 + np.square(above * above * above)))
    return (hertz / REFERENCE_HZ) ** np.float32(tilt_db / DB_PER_OCTAVE) * band


def _room(sample_rate: int, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Impulse response: a direct path, and after 2 ms a tail of noise, down by 60 dB in 0.1 to 0.4 s."""
    length = int(sample_rate * ROOM_SECONDS)
    seconds = np.arange(length) / sample_rate
    tail = generator.normal(size=length) * 10 ** (-3 * seconds / generator.uniform(0.1, 0.4))
    tail[: sample_rate // 500] = 0
    direct_to_tail_db = generator.uniform(8, 25)
    tail *= strength * 10 ** (-direct_to_tail_db / 20) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return tail.astype(np.float32)
