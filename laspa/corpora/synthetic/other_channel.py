"""The recording channels of the other family: a room by the image method, noise or hum, and a narrow band.

Drawn for each utterance, like those of the first family, but of other kinds. Ranges are our choice.
"""

import numpy as np
from scipy import fft

from laspa.audio.generated_noise import coloured_noise
from laspa.audio.reading import SAMPLE_RATE
from laspa.audio.reverberation import image_response

SIDES = ((2.5, 5.0), (2.0, 4.0), (2.2, 3.0))  # m: from a car to a living room
WALL_DISTANCE = 0.3  # m, at least, of talker and microphone
SECONDS_TO_60_DB = (0.08, 0.3)
BANDS = ((300.0, 3400.0), (50.0, 7000.0), (150.0, 5500.0))  # Hz: telephone, wideband call, small microphone
STEEPNESS = 8  # order of the filters
RESONANCE_HZ, RESONANCE_DB, RESONANCE_OCTAVES = (800.0, 4000.0), 8.0, 0.5  # of the small microphone
MAINS_HZ, HARMONICS = (50.0, 60.0), 8
NOISE_DB, HUM_DB, LEVEL_DB = (10, 35), (20, 45), (-34, -19)  # noise and hum: below the voice
MU, STEPS = 255.0, 127  # of the telephone's companding to 8 bits, as ITU-T G.711 has it: steps of a sign


def record(speech: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """`speech: (samples,)` float32 at 16 kHz as heard through a random channel; same shape, in [-1, 1]."""
    heard = _convolved(speech, _room(generator))
    hum = _hum(len(speech), generator)
    for disturbance, below in ((coloured_noise(len(speech), generator), NOISE_DB), (hum, HUM_DB)):
        heard = heard + _unit(disturbance) * heard.std() * 10 ** (-generator.uniform(*below) / 20)
    kind = int(generator.integers(len(BANDS)))
    heard = _unit(_filtered(heard, BANDS[kind], generator if kind == 2 else None))
    heard = (heard * 10 ** (generator.uniform(*LEVEL_DB) / 20)).clip(-1, 1)
    return (_companded(heard) if kind == 0 else heard).astype(np.float32)


def _unit(samples: np.ndarray) -> np.ndarray:
    return samples / samples.std()


def _convolved(speech: np.ndarray, response: np.ndarray) -> np.ndarray:
    size = fft.next_fast_len(len(speech) + len(response), real=True)
    return fft.irfft(fft.rfft(speech, size) * fft.rfft(response, size), size)[: len(speech)]


def _room(generator: np.random.Generator) -> np.ndarray:
    low, high = np.array(SIDES).T
    sides = generator.uniform(low, high)
    talker, microphone = generator.uniform(WALL_DISTANCE, sides - WALL_DISTANCE, (2, 3))
    return image_response(sides, talker, microphone, generator.uniform(*SECONDS_TO_60_DB))


def _hum(samples: int, generator: np.random.Generator) -> np.ndarray:
    """The mains' frequency with HARMONICS of random strengths and phases."""
    seconds, mains = np.arange(samples) / SAMPLE_RATE, generator.choice(MAINS_HZ)
    order = np.arange(1, HARMONICS + 1)
    strength, phase = generator.uniform(0, 1, HARMONICS) / order, generator.uniform(0, 2 * np.pi, HARMONICS)
    return strength @ np.sin(2 * np.pi * mains * order[:, None] * seconds + phase[:, None])


def _filtered(
    samples: np.ndarray, band: tuple[float, float], resonant: np.random.Generator | None
) -> np.ndarray:
    """Through a band with steep sides and, where a generator is given, with a resonance in it."""
    size = fft.next_fast_len(len(samples) + SAMPLE_RATE // 10, real=True)
    hertz = np.maximum(fft.rfftfreq(size, 1 / SAMPLE_RATE), 1.0)
    gain = 1 / np.sqrt((1 + (band[0] / hertz) ** STEEPNESS) * (1 + (hertz / band[1]) ** (2 * STEEPNESS)))
    if resonant is not None:
        octaves = np.log2(hertz / resonant.uniform(*RESONANCE_HZ)) / RESONANCE_OCTAVES
        gain = gain * 10 ** (resonant.uniform(0, RESONANCE_DB) / 20 * np.exp(-(octaves**2)))
    return fft.irfft(fft.rfft(samples, size) * gain, size)[: len(samples)]


def _companded(samples: np.ndarray) -> np.ndarray:
    """In steps of a logarithmic scale and back: y = sign(x) ln(1 + μ|x|) / ln(1 + μ)."""
    scale = np.log1p(MU)
    steps = np.rint(STEPS * np.sign(samples) * np.log1p(MU * np.abs(samples)) / scale) / STEPS
    return np.sign(steps) * np.expm1(np.abs(steps) * scale) / MU
