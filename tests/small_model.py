"""A saved model with random weights and recordings to give it, for what uses a model without training one."""

from pathlib import Path

import numpy as np
import soundfile
import torch

from laspa.features.settings import mel_settings
from laspa.features.store import digest
from laspa.files import sha256_file, write_json
from laspa.models.laspa import Laspa
from laspa.models.saving import WEIGHTS_FILE, save_model
from laspa.params import load_params, with_overrides
from laspa.recogniser.decision import CALIBRATION_FILE, FORM
from tests.small_training import SMALL

RATE = 16_000
LANGUAGES = ["de", "en"]


def small_model(folder: Path, changes: dict | None = None, seed: int = 0) -> Path:
    """Saved in `folder`, without calibration."""
    params = with_overrides(
        load_params(Path(__file__).parents[1] / "params.yaml").resolve("laspa"), SMALL | (changes or {})
    )
    torch.manual_seed(seed)
    settings = mel_settings(params.features)
    model = Laspa(params.as_system(), params.features.num_mels, 3, len(LANGUAGES))
    features = {"settings": settings, "digest": digest(settings)}
    save_model(folder, model, features, ["a", "b", "c"], LANGUAGES)
    return folder


def calibrate(folder: Path, **pairs: tuple[float, float, float]) -> Path:
    """Write a calibration: (slope, offset, threshold) by the languages heard."""
    fits = {
        heard: {"slope": slope, "offset": offset, "thresholds": {"eer": limit, "far_0.01": limit + 0.1}}
        for heard, (slope, offset, limit) in pairs.items()
    }
    digest_of_model = sha256_file(folder / WEIGHTS_FILE)
    found = {"form": FORM, "model": digest_of_model, "languages_heard": fits}
    write_json(folder / CALIBRATION_FILE, found)
    return folder


def voice(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """(samples,) float32: a buzz whose pitch and level move."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    hertz = generator.uniform(90, 220) * (1 + 0.1 * np.sin(2 * np.pi * 1.3 * time))
    phase = 2 * np.pi * np.cumsum(hertz) / rate
    tones = sum(np.sin(k * phase) / k for k in range(1, 12))
    level = 0.05 + 0.1 * np.abs(np.sin(2 * np.pi * generator.uniform(0.5, 1) * time))
    return (level * tones + 1e-3 * generator.standard_normal(len(time))).astype(np.float32)


def record(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    """A file of these samples, (samples,) or (samples, channels)."""
    soundfile.write(path, samples, rate)
    return path
