"""The loss terms: AAM-softmax, MAPC, distance correlation, gradient reversal, and their table."""

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from laspa.models.square_root import square_root


class Term(NamedTuple):
    """How a loss term is named and drawn, and whether it needs training speech in two languages.

    colour: a name of COLOURS in laspa/report/html.py.
    """

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

    def forward(self, embedding: Tensor, label: Tensor, margin: float, scale: float) -> Tensor:
        """The mean loss of a batch, a scalar.

        Args:
            embedding: (batch, embedding_dim).
            label: (batch,) class indices.
            margin: radians.
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
            return F.cross_entropy(logits, label)


def mapc(speaker: Tensor, language: Tensor, over: Literal["batch", "utterance", "distance"]) -> Tensor:
    """Mean absolute Pearson correlation between two embeddings, in two readings, and what sees more.

    `batch`: each dimension of one with the same dimension of the other, across the utterances
    of the batch, averaged over dimensions. `utterance`: within each utterance across the
    dimensions, averaged over the batch (as in Nam et al., arXiv 2211.00437). `distance`: no correlation of
    dimensions but `distance_correlation` with a language embedding that is held: else the language encoder
    alone lowers the term, and the speaker encoder keeps its language (docs/replication.md). Our choice.

    Args:
        speaker, language: (batch, embedding_dim).

    Returns:
        a scalar from 0 to 1.
    """
    if over == "distance":
        return distance_correlation(speaker, language.detach())
    axis = 1 if over == "utterance" else 0
    a = speaker.float() - speaker.float().mean(dim=axis, keepdim=True)
    b = language.float() - language.float().mean(dim=axis, keepdim=True)
    return F.cosine_similarity(a, b, dim=axis, eps=1e-6).abs().mean()


def mapc_floor(samples: int) -> float:
    """What `mapc` is for two independent embeddings, of which each correlation has so many samples.

    The correlation r of n independent, normally distributed pairs has the density
    (1 − r²)^((n − 4) / 2) / B(½, (n − 2) / 2) (Fisher, 1915). So E|r| = Γ((n − 1) / 2) / (√π Γ(n / 2)), which
    is about √(2 / (π n)).
    """
    return math.exp(math.lgamma((samples - 1) / 2) - math.lgamma(samples / 2)) / math.sqrt(math.pi)


def distance_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Squared distance correlation of two length-normalised embeddings over a batch, bias-corrected.

    Zero in expectation if and only if the two are independent, not merely uncorrelated; equivalent to HSIC
    with the kernel of distances (Székely and Rizzo, 2014, definition 3; Sejdinovic et al., 2013).

    Args:
        a, b: (batch, embedding_dim); more than three rows.

    Returns:
        a scalar from −1 to 1, around 0 for independent embeddings.
    """

    def centred(x: Tensor) -> Tensor:
        unit, n = F.normalize(x.float()), len(x)
        distance = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist")
        rows = distance.sum(dim=1) / (n - 2)
        centred = distance - rows[:, None] - rows + distance.sum() / ((n - 1) * (n - 2))
        return centred.fill_diagonal_(0.0)

    with torch.autocast(a.device.type, enabled=False):
        return F.cosine_similarity(centred(a).flatten(), centred(b).flatten(), dim=0)


def reverse_gradient(x: Tensor) -> Tensor:
    """The identity, whose gradient changes its sign (Ganin and Lempitsky, 2015)."""
    return 2 * x.detach() - x
