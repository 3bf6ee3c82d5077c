"""Augmented copies of utterances: noise, music, babble or a room added, or another speed.

An augmentation holds everything that decides the copy's samples, so they do not depend on when and where
the copy is made.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from laspa.audio.generated_noise import coloured_noise, music
from laspa.audio.reading import SAMPLE_RATE, decode, read_audio
from laspa.audio.reverberation import room_response
from laspa.errors import LaspaError
from laspa.params.data import Augment

ROOMS = 64  # generated rooms, all of which are kept in memory
FULL_SCALE = 0.99  # a louder copy is turned down to this peak


class Recording(NamedTuple):
    """A recording that an augmentation adds; `name` stands for its content."""

    path: Path
    name: str
    speaker: str = ""


class Augmentation(NamedTuple):
    """What is done to an utterance.

    kind: noise, music, babble, reverb or speed.
    seed: of the noise, music or room that is generated without `recordings`.
    recordings: those that are added, or the room's impulse response.
    starts: where in each recording the excerpt begins, from 0 to 1.
    snr_db: of noise, music and babble. speed: of `speed`.
    """

    kind: str
    seed: int
    recordings: tuple[Recording, ...] = ()
    starts: tuple[float, ...] = ()
    snr_db: float = 0.0
    speed: float = 1.0

    @property
    def key(self) -> str:
        """A digest: augmentations with equal keys do the same."""
        added = [(one.name, start) for one, start in zip(self.recordings, self.starts, strict=True)]
        what = repr((self.kind, self.seed, added, self.snr_db, self.speed))
        return hashlib.sha256(what.encode()).hexdigest()


class RecordingPool:
    """Recordings to draw from: each draw takes the one whose hash follows a random number.

    So a new recording changes only the draws that fall just before its hash.
    """

    def __init__(self, recordings: Sequence[Recording]) -> None:
        ordered = sorted((_hash(one.name), one) for one in recordings)
        self.recordings = [one for _, one in ordered]
        self._hashes = np.array([hashed for hashed, _ in ordered], dtype=np.uint64)

    def draw(self, generator: np.random.Generator, speaker: str = "") -> Recording:
        """A recording, of another speaker than `speaker` if there is one."""
        first = int(np.searchsorted(self._hashes, generator.integers(2**64, dtype=np.uint64)))
        size = len(self.recordings)
        ordered = (self.recordings[(first + step) % size] for step in range(size))
        others = (one for one in ordered if not speaker or one.speaker != speaker)
        return next(others, self.recordings[first % size])


def draw_augmentation(
    utterance_id: str, speaker: str, copy: int, options: Augment, pools: dict[str, RecordingPool]
) -> Augmentation:
    """The augmentation of copy number `copy` of an utterance; it depends on the arguments alone."""
    generator = np.random.default_rng([options.seed, copy, _hash(utterance_id)])
    kind = options.kinds[generator.integers(len(options.kinds))]
    seed = int(generator.integers(2**31))
    if kind == "speed":
        return Augmentation(kind, seed, speed=options.speeds[generator.integers(len(options.speeds))])
    pool = pools[kind]
    if kind == "reverb":
        if pool.recordings:
            return Augmentation(kind, seed, (pool.draw(generator),), (0.0,))
        return Augmentation(kind, seed % ROOMS)
    fewest, most = options.babble_talkers if kind == "babble" else (1, 1)
    count = int(generator.integers(fewest, most + 1))
    recordings = tuple(pool.draw(generator, speaker) for _ in range(count)) if pool.recordings else ()
    starts = tuple(generator.random(len(recordings)).tolist())
    return Augmentation(kind, seed, recordings, starts, generator.uniform(*getattr(options, f"{kind}_snr")))


def augment(signal: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """The augmented copy of an utterance.

    Args:
        signal: (samples,) float32 at 16 kHz.

    Returns:
        as many samples; of kind `speed` 1 / speed times as many.

    Raises:
        LaspaError: a recording without samples, or a silent impulse response.
    """
    kind, recordings = augmentation.kind, augmentation.recordings
    if kind == "speed":
        return soxr.resample(signal, SAMPLE_RATE * augmentation.speed, SAMPLE_RATE, quality="HQ")
    if kind == "reverb":
        return _in_full_scale(_reverberated(signal, _room(recordings, augmentation.seed)))
    if recordings:
        pairs = zip(recordings, augmentation.starts, strict=True)
        excerpts = [_excerpt(one.path, len(signal), start) for one, start in pairs]
        noise = np.sum([one / np.float32(np.sqrt(_power(one)) or 1.0) for one in excerpts], axis=0)
    else:
        generator = np.random.default_rng(augmentation.seed)
        noise = (music if kind == "music" else coloured_noise)(len(signal), generator)
    return _in_full_scale(at_snr(signal, noise, augmentation.snr_db))


def at_snr(signal: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """`signal` plus `noise` scaled so that their mean powers are `snr_db` apart; silence adds nothing."""
    return signal + _with_power(noise, _power(signal) / 10 ** (snr_db / 10))


def _power(samples: np.ndarray) -> np.float64:
    return np.mean(np.square(samples, dtype=np.float64))


def _with_power(samples: np.ndarray, power: float) -> np.ndarray:
    """`samples` scaled to this mean power; silence stays silence."""
    own = _power(samples)
    return samples * np.float32(np.sqrt(power / own)) if own else samples


def _reverberated(signal: np.ndarray, response: np.ndarray) -> np.ndarray:
    """In the room: aligned with the direct path, length and power unchanged."""
    from scipy.signal import oaconvolve  # here: importing it is a third of an extraction process's start

    wet = oaconvolve(signal, response)[np.abs(response).argmax() :][: len(signal)].astype(np.float32)
    return _with_power(wet, _power(signal))


def _in_full_scale(signal: np.ndarray) -> np.ndarray:
    peak = float(np.abs(signal).max(initial=0.0))
    return (signal * (FULL_SCALE / peak) if peak > 1 else signal).astype(np.float32, copy=False)


@lru_cache(maxsize=ROOMS)
def _room(responses: tuple[Recording, ...], seed: int) -> np.ndarray:
    if not responses:
        return room_response(np.random.default_rng(seed))
    # The first of several microphones: the mean of them is not what any listener hears.
    samples, rate = decode(responses[0].path)
    response = np.ascontiguousarray(samples[:, 0])
    if not response.any():
        raise LaspaError(f"{responses[0].path}: a silent impulse response; remove it from augment.rirs")
    return response if rate == SAMPLE_RATE else soxr.resample(response, rate, SAMPLE_RATE, quality="HQ")


def _excerpt(path: Path, samples: int, start: float) -> np.ndarray:
    """(samples,) of a recording, from its first (`start` 0) to its last ones (1); a short one is repeated."""
    try:
        info = soundfile.info(path) if path.suffix.lower() in (".wav", ".flac") else None
    except soundfile.LibsndfileError:
        info = None  # what is wrong is said by read_audio
    if info is not None and info.samplerate == SAMPLE_RATE and info.channels == 1:
        first = int(start * max(0, info.frames - samples))  # decodes only the excerpt
        found = soundfile.read(path, samples, first, dtype="float32")[0]
    else:
        found = read_audio(path)
        found = found[int(start * max(0, len(found) - samples)) :][:samples]
    if not len(found):
        raise LaspaError(f"{path}: holds no samples; remove it")
    return np.resize(found, samples)


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
