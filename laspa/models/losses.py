"""The loss terms: AAM-softmax, MAPC in three readings, consistency, gradient reversal, and their table."""

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from laspa.models.square_root import square_root


class Term(NamedTuple):
    """How a loss term is named and drawn, and whether it needs training speech in two languages."""

    label: str
    colour: str
    dashes: tuple[float, ...] = ()  # of its line, in points on and off; none: a solid line
    needs_languages: bool = False


# Every term of the weighted sum, as `loss_weights` in params.yaml and the training record name it.
TERMS = {
    "aam": Term("speaker (AAM)", "orange"),
    "nll": Term("language (NLL)", "purple", (5, 2), needs_languages=True),
    "mapc": Term("correlation (MAPC)", "green", (2, 1.5), needs_languages=True),
    "mse": Term("reconstruction (MSE)", "grey"),
    "grl": Term("reversed gradient (GRL)", "purple", (1, 1), needs_languages=True),
    "consistency": Term("same speaker, two languages", "green", (1, 1), needs_languages=True),
}
EPSILON = 1e-7  # float32 resolution near 1: keeps sin θ = √(1 − cos²θ) away from an infinite slope


class AAMSoftmax(nn.Module):
    """Additive angular margin softmax over speakers.

    −log softmax of s·cos(θ_y + m) for the true class against s·cos θ_j for the others, with θ
    the angle between embedding and class centre (ArcFace, Deng et al., 2019). Easy margin is
    off: beyond θ = π − m, where cos(θ + m) would rise again, the target falls linearly as
    cos θ − m·sin m. Angles are computed in float32 whatever the surrounding precision.
    With `sub_centres` a class has several centres and θ is the angle to the nearest (Deng et al., 2020).
    """

    def __init__(self, embedding_dim: int, num_classes: int, sub_centres: int = 1) -> None:
        super().__init__()
        self.sub_centres = sub_centres
        self.centres = nn.Parameter(torch.empty(num_classes * sub_centres, embedding_dim))
        nn.init.xavier_normal_(self.centres)

    def forward(
        self, embedding: Tensor, label: Tensor, margin: float, scale: float, competitors: Tensor | None = None
    ) -> Tensor:
        """The mean loss of a batch, a scalar.

        Args:
            embedding: (batch, embedding_dim).
            label: (batch,) class indices.
            margin: radians.
            competitors: (batch, classes) true where a class takes part in the softmax; None: all do.
        """
        with torch.autocast(embedding.device.type, enabled=False):
            cosine = F.linear(F.normalize(embedding.float()), F.normalize(self.centres.float()))
            if self.sub_centres > 1:
                cosine = cosine.unflatten(1, (-1, self.sub_centres)).amax(dim=2)
            target = cosine.gather(1, label[:, None])
            sine = square_root((1 - target.square()).clamp(min=EPSILON))
            shifted = target * math.cos(margin) - sine * math.sin(margin)
            past = target - margin * math.sin(margin)
            shifted = torch.where(target > math.cos(math.pi - margin), shifted, past)
            logits = scale * cosine.scatter(1, label[:, None], shifted)
            if competitors is not None:
                logits = logits.masked_fill(~competitors.scatter(1, label[:, None], True), float("-inf"))
            return F.cross_entropy(logits, label)


def mapc(speaker: Tensor, language: Tensor, over: Literal["batch", "utterance", "matrix"]) -> Tensor:
    """Mean absolute Pearson correlation between two embeddings, in three readings.

    `batch`: each dimension of one with the same dimension of the other, across the utterances
    of the batch, averaged over dimensions. `utterance`: within each utterance across the
    dimensions, averaged over the batch (as in Nam et al., arXiv 2211.00437). `matrix`: as `batch`, but
    each dimension of one with every dimension of the other (our choice), since two embeddings may share
    something in different dimensions.

    Args:
        speaker, language: (batch, embedding_dim).

    Returns:
        a scalar from 0 to 1.
    """
    axis = 1 if over == "utterance" else 0
    a = speaker.float() - speaker.float().mean(dim=axis, keepdim=True)
    b = language.float() - language.float().mean(dim=axis, keepdim=True)
    if over == "matrix":
        return (F.normalize(a, dim=0, eps=1e-6).T @ F.normalize(b, dim=0, eps=1e-6)).abs().mean()
    return F.cosine_similarity(a, b, dim=axis, eps=1e-6).abs().mean()


def consistency(embedding: Tensor, speaker: Tensor, language: Tensor) -> Tensor:
    """1 − cosine, averaged over the batch's pairs of one speaker in two languages; 0 without such pairs.

    Our choice: speakers of two languages show which part of a voice does not depend on the language.

    Args:
        embedding: (batch, embedding_dim).
        speaker, language: (batch,) class indices.

    Returns:
        a scalar from 0 to 2.
    """
    vectors = F.normalize(embedding.float())
    pairs = (speaker[:, None] == speaker) & (language[:, None] != language)
    return ((1 - vectors @ vectors.T) * pairs).sum() / pairs.sum().clamp(min=1)


def reverse_gradient(x: Tensor) -> Tensor:
    """The identity, whose gradient changes its sign (Ganin and Lempitsky, 2015)."""
    return 2 * x.detach() - x
