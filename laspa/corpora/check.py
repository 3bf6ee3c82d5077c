"""A trained model on real prompts: is a voice nearer to itself in another language than to other voices?"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from laspa.audio.reading import read_audio
from laspa.errors import LaspaError
from laspa.params import Features
from laspa.progress import progress


class Cosines(NamedTuple):
    """Mean cosine of pairs of utterances, its standard deviation over the pairs, and how many there are."""

    mean: float
    deviation: float
    pairs: int


def embed_files(paths: Sequence[Path], model_folder: Path, settings: Features) -> np.ndarray:
    """(files, D) float32: a trained model's speaker embeddings of recordings, in their order.

    Args:
        settings: of the mels that the model was trained on.

    Raises:
        LaspaError: no such model, or one for other mels; a recording that cannot be read.
    """
    import torch

    from laspa.features.mel import log_mel
    from laspa.models.saving import load_model

    model, config = load_model(model_folder)
    if config["num_mels"] != settings.num_mels:
        raise LaspaError(
            f"{model_folder}: was trained on {config['num_mels']} mels, but features.num_mels is "
            f"{settings.num_mels}; name the params that it was trained with"
        )
    model.eval()
    vectors = []
    with torch.inference_mode():
        for path in progress(paths, len(paths), "embed", unit="file"):
            mel = torch.from_numpy(log_mel(read_audio(path), settings)).float()[None]
            output = model(mel, torch.tensor([mel.shape[1]]))
            vectors.append(model.scored(output).float().numpy()[0])
    return np.stack(vectors)


def compare(embeddings: np.ndarray, speakers: pd.Series, languages: pd.Series) -> dict[str, Cosines]:
    """Cosines within a language, across languages and against other voices, of who speaks two or more.

    Args:
        embeddings: (utterances, D); speakers, languages: of each.

    Returns:
        `SPEAKER within LANGUAGE`, `SPEAKER across LANGUAGE and LANGUAGE`, and `SPEAKER against OTHER`.

    Raises:
        LaspaError: nobody speaks two languages.
    """
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    who, tongue = speakers.to_numpy(), languages.to_numpy()
    several = pd.DataFrame({"who": who, "tongue": tongue}).groupby("who")["tongue"].nunique()
    found: dict[str, Cosines] = {}
    for speaker in several.index[several > 1]:
        own = who == speaker
        spoken = sorted(set(tongue[own]))
        for place, language in enumerate(spoken):
            rows = unit[own & (tongue == language)]
            if len(rows) > 1:
                found[f"{speaker} within {language}"] = _cosines(rows @ rows.T, np.triu_indices(len(rows), 1))
            for other in spoken[place + 1 :]:
                across = rows @ unit[own & (tongue == other)].T
                found[f"{speaker} across {language} and {other}"] = _cosines(across)
        for other in sorted(set(who) - {speaker}):
            found[f"{speaker} against {other}"] = _cosines(unit[own] @ unit[who == other].T)
    if not found:
        raise LaspaError("nobody in this corpus speaks two languages; there is nothing to compare across")
    return found


def _cosines(matrix: np.ndarray, pairs: tuple[np.ndarray, np.ndarray] | None = None) -> Cosines:
    values = matrix.ravel() if pairs is None else matrix[pairs]
    return Cosines(float(values.mean()), float(values.std()), len(values))
