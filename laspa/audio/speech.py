"""Which parts of a recording are speech: an energy gate, or silero-vad; the rest is left out."""

import importlib.util
from collections.abc import Callable, Iterator

import numpy as np

from laspa.audio.quality import LOUDEST, SILENCE
from laspa.audio.reading import SAMPLE_RATE
from laspa.audio.streaming import pieces
from laspa.errors import LaspaError

FRAME = 512  # samples, 32 ms: the frame of silero-vad too
READ_FRAMES = 512  # a piece of 16 s
BELOW_LOUD_DB = 35.0  # a frame this far below the loud ones is silence; our choice, docs/recogniser.md
LOUD_FRAMES = 16  # half a second of the recording is at least as loud as "loud"
AROUND_FRAMES = 5  # kept on both sides of speech, 160 ms: pauses between words stay, as in training
SPEECH_POSTERIOR = 0.5  # silero-vad's own default

Blocks = Callable[[], Iterator[np.ndarray]]  # (samples,) float32 at 16 kHz, from the start at each call


def energy_gate(blocks: Blocks) -> np.ndarray:
    """Which frames of `FRAME` samples are speech, (frames,) boolean.

    A frame is speech if its power is at most `BELOW_LOUD_DB` below that of the sixteenth loudest, which
    half a second of the recording reaches; so are `AROUND_FRAMES` on both sides. The same recording at
    another level gives the same frames. Our choice.

    Raises:
        LaspaError: samples that are not finite, or nothing but digital silence.
    """
    power = _usable_power(blocks)
    loud = np.sort(power)[-min(LOUD_FRAMES, len(power))]
    return _widened(power > max(loud * 10 ** (-BELOW_LOUD_DB / 10), SILENCE**2))


def everything(blocks: Blocks) -> np.ndarray:
    """All frames, silent ones too; raises as `energy_gate` does."""
    return np.ones(len(_usable_power(blocks)), dtype=bool)


def silero(blocks: Blocks) -> np.ndarray:
    """As `energy_gate`, told by silero-vad, whose weights are in its wheel.

    Raises:
        LaspaError: it is not installed; else as `energy_gate`.
    """
    if importlib.util.find_spec("silero_vad") is None:
        raise LaspaError("vad silero needs silero-vad: pip install 'laspa[vad]', or use vad energy")
    import torch

    threads = torch.get_num_threads()
    from silero_vad import load_silero_vad  # sets the threads of the whole process

    detector = load_silero_vad()
    torch.set_num_threads(threads)
    everything(blocks)
    posterior = []
    with torch.inference_mode():
        for piece in pieces(blocks(), FRAME):
            frame = np.pad(piece, (0, FRAME - len(piece)))
            posterior.append(float(detector(torch.from_numpy(frame), SAMPLE_RATE)))
    return _widened(np.array(posterior) >= SPEECH_POSTERIOR)


DETECTORS: dict[str, Callable[[Blocks], np.ndarray]] = {
    "energy": energy_gate,
    "silero": silero,
    "none": everything,
}


def speech_of(blocks: Iterator[np.ndarray], speech: np.ndarray) -> Iterator[np.ndarray]:
    """The samples of the frames that are speech, piece by piece, joined where silence is left out."""
    place = 0
    for piece in pieces(blocks, FRAME * READ_FRAMES):
        frames = -(-len(piece) // FRAME)
        yield piece[np.repeat(speech[place : place + frames], FRAME)[: len(piece)]]
        place += frames


def _power(piece: np.ndarray) -> np.ndarray:
    """Mean power of each frame, (frames,); the last may be shorter."""
    squares = np.square(piece, dtype=np.float64)
    starts = np.arange(0, len(piece), FRAME)
    return np.add.reduceat(squares, starts) / np.diff(np.append(starts, len(piece)))


def _usable_power(blocks: Blocks) -> np.ndarray:
    """Mean power of every frame, (frames,), none of them NaN and not all of them silent."""
    power = np.concatenate([np.empty(0), *(_power(piece) for piece in pieces(blocks(), FRAME * READ_FRAMES))])
    if (bad := np.flatnonzero(~(power <= LOUDEST**2))).size:  # so that NaN is bad too
        raise LaspaError(
            f"samples that are far beyond full scale, NaN or infinite in {len(bad)} of {len(power)} frames, "
            f"the first at {bad[0] * FRAME / SAMPLE_RATE:.2f} s; mend the recording"
        )
    if not (power > SILENCE**2).any():
        raise LaspaError("silent from end to end" if len(power) else "holds no samples")
    return power


def _widened(speech: np.ndarray) -> np.ndarray:
    """With `AROUND_FRAMES` frames on both sides of each frame of speech."""
    counts = np.append(0, np.cumsum(speech))
    frames = np.arange(len(speech))
    low, high = np.maximum(frames - AROUND_FRAMES, 0), np.minimum(frames + AROUND_FRAMES + 1, len(speech))
    return counts[high] > counts[low]
