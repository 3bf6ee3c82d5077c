"""From utterances to embeddings with a trained model, and what else the model says of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from laspa.features.store import FeatureStore
from laspa.models.laspa import Laspa, Output
from laspa.models.losses import mapc
from laspa.models.pooling import length_mask
from laspa.models.saving import check_mels

FRAMES_PER_BATCH = 20_000  # bounds the memory of a batch of whole utterances: 64 of three seconds


@dataclass
class Embeddings:
    """One row an utterance, in the order of `utterance_ids`.

    speaker: (utterances, embedding_dim) float32, as scored; language: the same, or None.
    language_index, language_posterior: (utterances,) the language head's decision and its posterior, or None.
    squared_error: (utterances,) mean over the mel of the squared reconstruction error, or None.
    """

    utterance_ids: list[str]
    speaker: np.ndarray
    language: np.ndarray | None = None
    language_index: np.ndarray | None = None
    language_posterior: np.ndarray | None = None
    squared_error: np.ndarray | None = None

    def mapc(self, over: str) -> float | None:
        """Mean absolute Pearson correlation of both embeddings over these utterances."""
        if self.language is None:
            return None
        both = torch.from_numpy(self.speaker), torch.from_numpy(self.language)
        return float(mapc(*both, over="utterance" if over == "utterance" else "batch"))


@torch.inference_mode()
def embed(model: Laspa, features: FeatureStore, utterance_ids: list[str], device: torch.device) -> Embeddings:
    """Embeddings of whole utterances; those of similar length share a batch, masked to their own length.

    Raises:
        LaspaError: mels of other settings than those the model was trained on.
    """
    check_mels(model, features.settings, "features")
    model.eval()
    columns: dict[str, np.ndarray] = {}
    for rows, mel, lengths in _by_length(features, utterance_ids):
        mel, lengths = mel.to(device), lengths.to(device)
        for name, value in _columns(model, model(mel, lengths), mel, lengths).items():
            if name not in columns:
                columns[name] = np.empty(
                    (len(utterance_ids), *value.shape[1:]), dtype=value.cpu().numpy().dtype
                )
            columns[name][rows] = value.cpu().numpy()
    return Embeddings(utterance_ids, **columns)


@torch.inference_mode()
def embed_speakers(
    model: Laspa, features: FeatureStore, utterance_ids: list[str], device: torch.device
) -> np.ndarray:
    """The speaker embeddings alone: (utterances, embedding_dim) float32; raises as `embed` does."""
    check_mels(model, features.settings, "features")
    model.eval()
    embeddings = np.empty((len(utterance_ids), model.system.model.embedding_dim), dtype=np.float32)
    for rows, mel, lengths in _by_length(features, utterance_ids):
        embeddings[rows] = model.speaker_embedding(mel.to(device), lengths.to(device)).float().cpu().numpy()
    return embeddings


@torch.inference_mode()
def reconstruct(model: Laspa, mel: np.ndarray, device: torch.device) -> np.ndarray | None:
    """The decoder's version of one spectrogram `(frames, mels)`, or None where there is no decoder."""
    model.eval()
    output = model(torch.from_numpy(mel).float()[None].to(device))
    return None if output.reconstruction is None else output.reconstruction[0].cpu().numpy()


def _columns(model: Laspa, output: Output, mel: Tensor, lengths: Tensor) -> dict[str, Tensor]:
    columns = {"speaker": model.scored(output).float()}
    if output.language is not None:
        columns["language"] = output.language.float()
        if model.system.loss_weights.nll:
            best = model.language_head(output.language).softmax(dim=1).max(dim=1)
            columns |= {"language_index": best.indices, "language_posterior": best.values.float()}
    if output.reconstruction is not None:
        error = (output.reconstruction - mel).square().mean(dim=-1) * length_mask(lengths, mel.shape[1])
        columns["squared_error"] = error.sum(dim=1) / lengths
    return columns


def _by_length(
    features: FeatureStore, utterance_ids: list[str]
) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    places = features.rows(utterance_ids)
    lengths = features.num_frames[places]
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and lengths[order[stop]] * (stop + 1 - start) <= FRAMES_PER_BATCH:
            stop += 1
        rows = order[start:stop]
        yield rows, torch.from_numpy(features.padded(places[rows])).float(), torch.from_numpy(lengths[rows])
        start = stop
