"""Inside a trained model: where its tuners look, which loss moves which part, how its embeddings depend."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from laspa.features.store import FeatureStore
from laspa.models.laspa import Laspa
from laspa.models.losses import mapc, mapc_floor

BATCH_SIZES = (16, 32, 64, 128, 256, 512, 1024)  # of which MAPC is measured
DRAWS = 20  # batches of each size
SEGMENTS = 20  # equal parts of an utterance in which attention on its frames is summed; our choice
BY_ATTENTION = "mse_by_attention"
QUERY, FRAMES = 0, 2  # places among the inputs of a tuner and of the decoder


@torch.inference_mode()
def attention_profile(
    model: Laspa, features: FeatureStore, utterance_ids: list[str], device: torch.device
) -> dict[str, dict[str, Any]]:
    """Mean attention of each prefix-tuner, named after the embedding that asks; empty without tuners.

    Returns:
        prefix: (heads, prefix_len) weight on each prefix token; content: (heads, SEGMENTS) weight on
        each part of the utterance, all of it in the first where K and V are one pooled token;
        uniform_prefix: the prefix's share were attention the same on every token.
    """
    model.eval()
    length = model.system.prefix_len
    sums: dict[str, np.ndarray] = {}
    uniform: dict[str, float] = {}
    for utterance_id in utterance_ids:
        mel = torch.from_numpy(features.get(utterance_id).astype(np.float32))[None].to(device)
        for side, weights in (model(mel).attention or {}).items():
            token = weights[0].double().cpu().numpy()
            content = token[:, length:]
            segment = np.arange(content.shape[1]) * SEGMENTS // content.shape[1]
            parts = np.zeros((len(token), SEGMENTS))
            np.add.at(parts.T, segment, content.T)
            sums[side] = sums.get(side, 0) + np.concatenate([token[:, :length], parts], axis=1)
            uniform[side] = uniform.get(side, 0.0) + length / token.shape[1]
    count = len(utterance_ids)
    return {
        side: {
            "prefix": (total[:, :length] / count).tolist(),
            "content": (total[:, length:] / count).tolist(),
            "uniform_prefix": uniform[side] / count,
        }
        for side, total in sorted(sums.items())
    }


def gradient_norms(
    model: Laspa, mel: Tensor, speaker: Tensor, language: Tensor
) -> dict[str, dict[str, float]]:
    """Norm of each loss term's gradient, weighted as in training, in each part of the model.

    `mse_by_attention` is what of the reconstruction's gradient reaches a part through the tuners'
    keys and values alone: their queries, with the residual path, and the decoder's frames are held.

    Args:
        mel: (batch, frames, mels), training utterances; speaker, language: (batch,) class indices.

    Returns:
        norms by part (speaker_encoder, language_encoder, speaker_tuner, language_tuner, decoder; those
        there are) and term; a term that a part has no say in is left out.
    """
    model = model.cpu().eval()  # cuDNN has no backward pass of an LSTM in evaluation mode
    parts = {
        "speaker_encoder": model.speaker_encoder,
        "language_encoder": model.language_encoder,
        **{f"{side}_tuner": tuner for side, tuner in (model.fusion or {}).items()},
        "decoder": model.decoder,
    }
    parts = {name: part for name, part in parts.items() if part is not None}
    weights, margin = model.system.loss_weights, model.system.aam_margin
    terms = model.loss_terms(model(mel), mel, speaker, language, margin)
    if "mse" in terms and model.fusion is not None:
        with _held(model):
            terms[BY_ATTENTION] = model.loss_terms(model(mel), mel, speaker, language, margin)["mse"]
    norms: dict[str, dict[str, float]] = {name: {} for name in parts}
    for term, value in terms.items():
        loss = getattr(weights, "mse" if term == BY_ATTENTION else term) * value
        for name, part in parts.items():
            gradients = torch.autograd.grad(
                loss, list(part.parameters()), retain_graph=True, allow_unused=True
            )
            lengths = [gradient.norm() for gradient in gradients if gradient is not None]
            if lengths:
                norms[name][term] = float(torch.stack(lengths).norm())
    return norms


@contextmanager
def _held(model: Laspa) -> Iterator[None]:
    """The tuners' queries and the decoder's frames are constants: gradients pass by keys and values."""

    def hold(*places: int) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
        return lambda _, inputs: tuple(
            value.detach() if place in places else value for place, value in enumerate(inputs)
        )

    assert model.fusion is not None
    assert model.decoder is not None
    handles = [tuner.register_forward_pre_hook(hold(QUERY)) for tuner in model.fusion.values()]
    handles.append(model.decoder.register_forward_pre_hook(hold(FRAMES)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def mapc_by_batch_size(speaker: np.ndarray, language: np.ndarray, seed: int) -> list[dict[str, float]]:
    """MAPC of batches drawn at random, by their size: how much of it is dependence of the two embeddings.

    Args:
        speaker, language: (utterances, embedding_dim).

    Returns:
        for each of BATCH_SIZES that there are utterances for: `paired`, of the embeddings as they are;
        `shuffled`, after each batch's language embeddings are put in random order, so that the two are
        independent; and `floor`, what independent embeddings have in theory.
    """
    generator = np.random.default_rng(seed)
    both = torch.from_numpy(speaker), torch.from_numpy(language)
    found = []
    for size in (size for size in BATCH_SIZES if size <= len(speaker)):
        paired, shuffled = [], []
        for _ in range(DRAWS):
            rows = generator.permutation(len(speaker))[:size]
            a, b = both[0][rows], both[1][rows]
            paired.append(float(mapc(a, b, "batch")))
            shuffled.append(float(mapc(a, b[generator.permutation(size)], "batch")))
        means = {"paired": float(np.mean(paired)), "shuffled": float(np.mean(shuffled))}
        found.append({"size": size, **means, "floor": mapc_floor(size)})
    return found
