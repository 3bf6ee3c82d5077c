"""Models that find the language of a recording: our own language encoder, or VoxLingua107's."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from laspa.audio.reading import SAMPLE_RATE, read_audio
from laspa.errors import LaspaError
from laspa.features.mel import log_mel
from laspa.features.settings import mel_params
from laspa.manifest.index import UNDETERMINED
from laspa.manifest.language_codes import iso_639_3
from laspa.models.saving import CONFIG_FILE, load_model
from laspa.params.data import Label
from laspa.progress import progress

# From `(samples,)` float32 at 16 kHz: the language and its posterior.
Labeller = Callable[[np.ndarray], tuple[str, float]]
HUB = "speechbrain/lang-id-voxlingua107-ecapa"  # Valk and Alumäe, SLT 2021, arXiv 2011.12998


def label(
    paths: list[str], locate: Callable[[str], Path], options: Label, device: torch.device
) -> list[tuple[str, str, float | None]]:
    """(path, ISO 639-3 language, posterior) of each recording; und and None if it cannot be read.

    Args:
        paths: as in the index; locate: gives their files.

    Raises:
        LaspaError: a model that is missing, is not installed or does not fit.
    """
    labeller = LABELLERS[options.model](options, device)
    rows: list[tuple[str, str, float | None]] = []
    for path in progress(paths, len(paths), "label", "file"):
        try:
            language, confidence = labeller(_middle(read_audio(locate(path)), options.seconds))
            rows.append((path, iso_639_3(language), confidence))
        except LaspaError:  # the stage manifest says what is wrong, and fails or skips as asked
            rows.append((path, UNDETERMINED, None))
    return rows


def _middle(signal: np.ndarray, seconds: float) -> np.ndarray:
    """At most `seconds` from the middle, where speech is more likely than at the ends."""
    count = round(seconds * SAMPLE_RATE)
    start = max(0, (len(signal) - count) // 2)
    return signal[start : start + count]


def _own(options: Label, device: torch.device) -> Labeller:
    """The language encoder and head of a model saved by the stage train."""
    if not options.weights:
        raise LaspaError(
            "params.yaml: label.model is own but label.weights is empty; name the folder of a saved model, "
            "such as a copy of data/model"
        )
    folder = Path(options.weights)
    model, config = load_model(folder)
    if model.language_encoder is None or not model.system.loss_weights.nll:
        raise LaspaError(
            f"{folder / CONFIG_FILE}: a model trained without loss_weights.nll cannot tell languages; "
            "name another in label.weights"
        )
    features = mel_params(config["features"]["settings"])
    model.to(device).eval()

    @torch.inference_mode()
    def tell(signal: np.ndarray) -> tuple[str, float]:
        mel = torch.from_numpy(log_mel(signal, features)).float()[None].to(device)
        if model.system.model.heads == "fused":
            language = model(mel).language
        else:
            language = model.language_encoder(mel, None)[0]
        best = model.language_head(language).softmax(dim=1)[0].max(dim=0)
        return config["languages"][int(best.indices)], float(best.values)

    return tell


def _voxlingua(options: Label, device: torch.device) -> Labeller:
    """SpeechBrain's ECAPA-TDNN of 107 languages, from a local folder or the hub.

    Its hyperparams.yaml may name any Python, which then runs: use a folder or hub that you trust.
    """
    if importlib.util.find_spec("speechbrain") is None:
        raise LaspaError(
            "params.yaml: label.model is voxlingua, which needs SpeechBrain: pip install 'laspa[voxlingua]'"
        )
    import laspa.features.torchaudio_shim  # noqa: F401 (SpeechBrain imports torchaudio)

    classifiers: Any = importlib.import_module("speechbrain.inference.classifiers")
    source = str(Path(options.weights).resolve()) if options.weights else HUB
    if options.weights and not Path(options.weights, "hyperparams.yaml").is_file():
        raise LaspaError(
            f"params.yaml: label.weights is {options.weights!r}, but {source} has no hyperparams.yaml; name "
            f"a folder with the files of {HUB}, or leave it empty to fetch them from the hub"
        )
    try:
        model = classifiers.EncoderClassifier.from_hparams(
            source=source, overrides={"pretrained_path": source}, run_opts={"device": str(device)}
        )
    except Exception as error:  # from the hub, YAML or torch; none says what to do
        raise LaspaError(
            f"{source}: cannot be loaded ({error}); download its files and name their folder in label.weights"
        ) from None

    @torch.inference_mode()
    def tell(signal: np.ndarray) -> tuple[str, float]:
        _, posterior, _, names = model.classify_batch(torch.from_numpy(signal)[None])
        return names[0], float(posterior[0].exp())  # a name such as `en: English`

    return tell


LABELLERS: dict[str, Callable[[Label, torch.device], Labeller]] = {"own": _own, "voxlingua": _voxlingua}
