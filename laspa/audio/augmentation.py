"""What an augmented copy of an utterance is: noise, music, babble or a room added, or another speed.

A change is drawn when the copies are planned and says all that it needs, so a copy is the same
samples whenever, wherever and in whatever order it is made.
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
from laspa.audio.reading import SAMPLE_RATE, read_audio
from laspa.audio.reverberation import room_response
from laspa.errors import LaspaError
from laspa.params import Augment

ROOMS = 64  # rooms made up; as many as are worth keeping in memory
FULL_SCALE = 0.99  # what is louder is turned down to this peak


class Source(NamedTuple):
    """A recording that a change uses; `name` stands for its content."""

    path: Path
    name: str
    speaker: str = ""


class Change(NamedTuple):
    """What is done to an utterance.

    kind: noise, music, babble, reverb or speed.
    sources: the recordings added, or the room's response; none where these are made up by `seed`.
    snr_db: of noise, music and babble; speed: of `speed`; starts: where each source is begun, from 0 to 1.
    """

    kind: str
    seed: int
    sources: tuple[Source, ...] = ()
    starts: tuple[float, ...] = ()
    snr_db: float = 0.0
    speed: float = 1.0

    @property
    def key(self) -> str:
        """Names the change: equal keys do the same."""
        sources = [(source.name, start) for source, start in zip(self.sources, self.starts, strict=True)]
        what = repr((self.kind, self.seed, sources, self.snr_db, self.speed))
        return hashlib.sha256(what.encode()).hexdigest()


class Ring:
    """Sources on a circle by the digest of their names: a draw is a place, the next source is taken.

    So adding a recording to a corpus changes only the draws that fall just before it.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        placed = sorted((_place(source.name), source) for source in sources)
        self.sources = [source for _, source in placed]
        self._places = np.array([place for place, _ in placed], dtype=np.uint64)

    def __len__(self) -> int:
        return len(self.sources)

    def draw(self, generator: np.random.Generator, speaker: str = "") -> Source:
        """A source, of another speaker than this one where there is any."""
        first = int(np.searchsorted(self._places, generator.integers(2**64, dtype=np.uint64)))
        for step in range(len(self)):
            source = self.sources[(first + step) % len(self)]
            if not speaker or source.speaker != speaker:
                return source
        return self.sources[first % len(self)]


def draw_change(
    utterance_id: str, speaker: str, copy: int, options: Augment, rings: dict[str, Ring]
) -> Change:
    """The change that copy number `copy` of an utterance is made by; it depends on these alone."""
    generator = np.random.default_rng([options.seed, copy, _place(utterance_id)])
    kind = options.kinds[generator.integers(len(options.kinds))]
    seed = int(generator.integers(2**31))
    if kind == "speed":
        return Change(kind, seed, speed=options.speeds[generator.integers(len(options.speeds))])
    ring = rings[kind]
    if kind == "reverb":
        source = (ring.draw(generator),) if len(ring) else ()
        return Change(kind, seed % ROOMS if not source else seed, source, (0.0,) * len(source))
    fewest, most = options.babble_talkers if kind == "babble" else (1, 1)
    talkers = int(generator.integers(fewest, most + 1))
    sources = tuple(ring.draw(generator, speaker) for _ in range(talkers)) if len(ring) else ()
    starts = tuple(generator.random(len(sources)).tolist())
    return Change(kind, seed, sources, starts, generator.uniform(*getattr(options, f"{kind}_snr")))


def changed(signal: np.ndarray, change: Change) -> np.ndarray:
    """The copy of an utterance.

    Args:
        signal: (samples,) float32 at 16 kHz.

    Returns:
        as many samples, but for `speed`: then 1 / speed times as many.
    """
    if change.kind == "speed":
        return soxr.resample(signal, SAMPLE_RATE * change.speed, SAMPLE_RATE, quality="HQ")
    if change.kind == "reverb":
        return _in_full_scale(_reverberated(signal, _room(change.sources, change.seed)))
    generator = np.random.default_rng(change.seed)
    if change.sources:
        pairs = zip(change.sources, change.starts, strict=True)
        noise = np.sum([_levelled(_excerpt(one.path, len(signal), start)) for one, start in pairs], axis=0)
    else:
        noise = (music if change.kind == "music" else coloured_noise)(len(signal), generator)
    return _in_full_scale(at_snr(signal, noise, change.snr_db))


def at_snr(signal: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """`signal` plus `noise` scaled so that their mean powers are `snr_db` apart; silence adds nothing."""
    wanted = np.mean(np.square(signal, dtype=np.float64)) / 10 ** (snr_db / 10)
    power = np.mean(np.square(noise, dtype=np.float64))
    return signal + noise * np.float32(np.sqrt(wanted / power) if power else 0.0)


def _reverberated(signal: np.ndarray, response: np.ndarray) -> np.ndarray:
    """In the room: aligned with the direct path, of the same power and length as it was."""
    from scipy.signal import oaconvolve  # here: a third of what it takes to start a process of the extraction

    heard = oaconvolve(signal, response)[np.abs(response).argmax() :][: len(signal)].astype(np.float32)
    power = np.mean(np.square(heard, dtype=np.float64))
    return heard * np.float32(np.sqrt(np.mean(np.square(signal, dtype=np.float64)) / power) if power else 1.0)


def _in_full_scale(signal: np.ndarray) -> np.ndarray:
    peak = float(np.abs(signal).max(initial=0.0))
    return (signal * (FULL_SCALE / peak) if peak > 1 else signal).astype(np.float32, copy=False)


@lru_cache(maxsize=ROOMS)
def _room(sources: tuple[Source, ...], seed: int) -> np.ndarray:
    if not sources:
        return room_response(np.random.default_rng(seed))
    # The first of several microphones: their mean would be no room that anybody hears.
    samples, rate = soundfile.read(sources[0].path, dtype="float32", always_2d=True)
    response = np.ascontiguousarray(samples[:, 0])
    if not response.any():
        raise LaspaError(f"{sources[0].path}: a silent impulse response; remove it from augment.rirs")
    return response if rate == SAMPLE_RATE else soxr.resample(response, rate, SAMPLE_RATE, quality="HQ")


def _excerpt(path: Path, samples: int, start: float) -> np.ndarray:
    """(samples,) of a recording from a share of what it is longer; a shorter one is repeated."""
    info = soundfile.info(path) if path.suffix.lower() in (".wav", ".flac") else None
    if info is not None and info.samplerate == SAMPLE_RATE and info.channels == 1:
        first = int(start * max(0, info.frames - samples))  # only what is needed is decoded
        found = soundfile.read(path, samples, first, dtype="float32")[0]
    else:
        found = read_audio(path)
        found = found[int(start * max(0, len(found) - samples)) :][:samples]
    if not len(found):
        raise LaspaError(f"{path}: holds no samples; remove it")
    return np.resize(found, samples)


def _levelled(samples: np.ndarray) -> np.ndarray:
    power = np.mean(np.square(samples, dtype=np.float64))
    return samples / np.float32(np.sqrt(power)) if power else samples


def _place(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
