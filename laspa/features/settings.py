"""The settings of a log-mel, and how samples are cut into frames."""

from typing import Any

import numpy as np

from laspa.audio.reading import SAMPLE_RATE
from laspa.errors import LaspaError
from laspa.params import Features

LOG_FLOOR = 1e-8  # energy in one mel band of the rounding of 16-bit samples (our choice)
KALDI_FLOOR = 2.0**-23  # of an energy: the epsilon of single precision
# Of the kinds; the last two are added, not clamped.
FLOORS = {"mel": LOG_FLOOR, "speechbrain": 1e-10, "redimnet": 1e-6, "nemo": 2.0**-24}
CENTRED = ("speechbrain", "redimnet", "nemo")  # kinds whose frames lie around every hop
PREEMPHASIS = 0.97  # kaldi's


DECIDING = ("num_mels", "window_ms", "hop_ms", "low_hz", "high_hz")  # of the params: a mel's values
KIND_DECIDING = ("kind", "kaldi_window", "kaldi_full_scale")  # beside them: the last two of the kind kaldi


def mel_settings(settings: Features) -> dict[str, Any]:
    """Everything that decides the values of a log-mel, as stored beside it.

    Where `kind` is missing, they are of the kind mel.
    """
    more = {"mel": (), "kaldi": KIND_DECIDING}.get(settings.kind, ("kind",))
    values = settings.model_dump(include={*DECIDING, *more})
    return values | {"sample_rate": SAMPLE_RATE, "log_floor": log_floor(settings), "dtype": "float16"}


def mel_params(settings: dict[str, Any]) -> Features:
    """The params under which `log_mel` computes mels of these settings."""
    names = [name for name in DECIDING + KIND_DECIDING if name in settings]
    return Features(**{name: settings[name] for name in names}, shard_utterances=1)


def log_floor(settings: Features) -> float:
    """The lowest energy of a band, for samples of full scale ±1.

    Kaldi's has a meaning only with the scale of its samples: public recognisers read them as ±1 or as 16-bit
    integers, which mutes silence less.
    """
    return KALDI_FLOOR / settings.kaldi_full_scale**2 if settings.kind == "kaldi" else FLOORS[settings.kind]


def refuse_short(num_samples: int, frame: int) -> None:
    """Raises LaspaError for a recording that is shorter than one frame, both in samples."""
    if num_samples < frame:
        raise LaspaError(
            f"{num_samples} samples at {SAMPLE_RATE} Hz, but one frame needs {frame} "
            f"({1000 * frame / SAMPLE_RATE:g} ms); leave the recording out or shorten features.window_ms"
        )


def refuse_empty(filters: np.ndarray, settings: Features) -> None:
    """Raises LaspaError for filters, (mels, bins), of which one has no weight."""
    if empty := int((~filters.any(axis=1)).sum()):
        size = framing(settings)[2]
        raise LaspaError(
            f"params.yaml: features.num_mels is {settings.num_mels} but {empty} of these bands between "
            f"{settings.low_hz:g} and {settings.high_hz:g} Hz hold no frequency of a {size}-point transform "
            f"({SAMPLE_RATE / size:g} Hz apart); use fewer bands or a longer features.window_ms"
        )


def not_finite(signal: np.ndarray) -> LaspaError:
    """What to raise for samples that are NaN or infinite, or so large that their power is."""
    if bad := int(np.count_nonzero(~np.isfinite(signal))):
        what = f"{bad} of {len(signal)} samples are NaN or infinite"
    else:
        what = f"a sample of {float(np.abs(signal).max()):.3g}, where full scale is 1"
    return LaspaError(f"{what}; mend the recording or leave it out")


def framing(settings: Features) -> tuple[int, int, int]:
    """Samples of a window, samples from one frame's start to the next one's, and points of the transform.

    The transform is the power of two that holds the window (our choice, and kaldi's).
    """
    window = round(settings.window_ms * SAMPLE_RATE / 1000)
    hop = max(1, round(settings.hop_ms * SAMPLE_RATE / 1000))
    return window, hop, 1 << (window - 1).bit_length()


def num_frames(num_samples: int, settings: Features) -> int:
    """Frames that lie wholly inside `num_samples`; nothing is padded (our choice, kaldi's `snip_edges`).

    A frame of a mel is as long as the transform, kaldi's as the window; kinds of CENTRED pad half a window,
    and NeMo's lacks the last frame.
    """
    window, hop, size = framing(settings)
    if settings.kind in CENTRED:
        return num_samples // hop + (settings.kind != "nemo") if num_samples >= window else 0
    return max(0, 1 + (num_samples - (window if settings.kind == "kaldi" else size)) // hop)
