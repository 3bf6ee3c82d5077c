"""The settings of a log-mel, and how samples are cut into frames."""

from typing import Any

from laspa.audio.reading import SAMPLE_RATE
from laspa.params import Features

LOG_FLOOR = 1e-8  # energy in one mel band of the rounding of 16-bit samples (our choice)


DECIDING = ("num_mels", "window_ms", "hop_ms", "low_hz", "high_hz")  # of the params: a mel's values


def mel_settings(settings: Features) -> dict[str, Any]:
    """Everything that decides the values of a log-mel, as stored beside it."""
    values = settings.model_dump(include={*DECIDING})
    return values | {"sample_rate": SAMPLE_RATE, "log_floor": LOG_FLOOR, "dtype": "float16"}


def mel_params(settings: dict[str, Any]) -> Features:
    """The params under which `log_mel` computes mels of these settings."""
    return Features(**{name: settings[name] for name in DECIDING}, shard_utterances=1)


def framing(settings: Features) -> tuple[int, int, int]:
    """Samples of a window, samples from one frame's start to the next one's, and points of the transform.

    The transform is the power of two that holds the window (our choice).
    """
    window = round(settings.window_ms * SAMPLE_RATE / 1000)
    hop = max(1, round(settings.hop_ms * SAMPLE_RATE / 1000))
    return window, hop, 1 << (window - 1).bit_length()


def num_frames(num_samples: int, settings: Features) -> int:
    """Frames that lie wholly inside `num_samples`; nothing is padded (our choice)."""
    _, hop, size = framing(settings)
    return max(0, 1 + (num_samples - size) // hop)
