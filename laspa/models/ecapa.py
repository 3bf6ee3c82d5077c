"""ECAPA-TDNN: squeeze-excited Res2Net blocks over time, their outputs aggregated, attentive pooling."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from laspa.models.pooling import (
    VARIANCE_FLOOR,
    AttentiveStatistics,
    SqueezeExcitation,
    length_mask,
    mirrored,
    zero_padding,
)

# Sizes of the paper.
DILATIONS = (2, 3, 4)
SCALE = 8  # chunks of a Res2Net convolution
BOTTLENECK = 128  # of squeeze-excitation and of the pooling's attention


class Details(NamedTuple):
    """What public code does otherwise than the paper, whose are the defaults.

    frame_dim: of the aggregated frames, whatever the number of channels.
    sums: whether a block reads the sum of all outputs before it, or the last one.
    mirror: whether convolutions see an utterance mirrored at its ends, or zeros.
    norms: whether aggregated frames and the pooling's attention are batch-normalised after their ReLU.
    normed_embedding: whether the embedding is.
    unbiased, floor: of the pooling's statistics.
    """

    frame_dim: int = 1536
    sums: bool = True
    mirror: bool = False
    norms: bool = False
    normed_embedding: bool = True
    unbiased: bool = False
    floor: float = VARIANCE_FLOOR


DETAILS = {
    "paper": Details(),
    "wespeaker": Details(sums=False, normed_embedding=False, unbiased=True, floor=1e-7),
    "speechbrain": Details(
        frame_dim=3072, sums=False, mirror=True, norms=True, normed_embedding=False, floor=1e-12
    ),
}


class ECAPA(nn.Module):
    """ECAPA-TDNN: squeeze-excited blocks whose outputs are aggregated.

    Source: Desplanques et al., Interspeech 2020, with 512 or 1024 `channels`, 80 mels, an embedding of 192.
    `details` names a row of DETAILS.
    """

    stride = 1

    def __init__(self, num_mels: int, embedding_dim: int, channels: int, details: str = "paper") -> None:
        super().__init__()
        self.details = DETAILS[details]
        width, norms, mirror = self.details.frame_dim, self.details.norms, self.details.mirror
        self.frame_dim = width
        self.stem = Layer(num_mels, channels, kernel=5, mirror=mirror)
        self.blocks = nn.ModuleList([SERes2Block(channels, dilation, mirror) for dilation in DILATIONS])
        self.aggregate = nn.Conv1d(len(DILATIONS) * channels, width, 1)
        self.frame_norm = nn.BatchNorm1d(width) if norms else nn.Identity()
        self.pool = AttentiveStatistics(
            width,
            BOTTLENECK,
            global_context=True,
            hidden=nn.Sequential(nn.ReLU(), nn.BatchNorm1d(BOTTLENECK), nn.Tanh()) if norms else None,
            unbiased=self.details.unbiased,
            floor=self.details.floor,
        )
        self.norm = nn.BatchNorm1d(2 * width)
        self.project = nn.Sequential(nn.Linear(2 * width, embedding_dim))
        if self.details.normed_embedding:
            self.project.append(nn.BatchNorm1d(embedding_dim))

    def forward(self, mel: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `laspa.models.encoders`."""
        mask = length_mask(lengths, mel.shape[1])
        hidden = self.stem(zero_padding(mel.transpose(1, 2), mask), mask)
        outputs = []
        for block in self.blocks:
            outputs.append(block(hidden, mask))
            hidden = hidden + outputs[-1] if self.details.sums else outputs[-1]
        frames = zero_padding(self.frame_norm(F.relu(self.aggregate(torch.cat(outputs, dim=1)))), mask)
        embedding = self.project(self.norm(self.pool(frames, mask)))
        return embedding, frames.transpose(1, 2)


class SERes2Block(nn.Module):
    """1 × 1 layer, Res2Net convolution, 1 × 1 layer, squeeze-excitation, and a residual connection.

    The Res2Net convolution cuts the channels into chunks x_i: y₁ = x₁, y₂ = K₂(x₂) and
    y_i = K_i(x_i + y_{i−1}), so later chunks see further in time (Gao et al., 2019).
    """

    def __init__(self, channels: int, dilation: int, mirror: bool) -> None:
        super().__init__()
        width = channels // SCALE
        self.enter = Layer(channels, channels, kernel=1)
        self.chunks = nn.ModuleList(
            [Layer(width, width, kernel=3, dilation=dilation, mirror=mirror) for _ in range(SCALE - 1)]
        )
        self.leave = Layer(channels, channels, kernel=1)
        self.excite = SqueezeExcitation(channels, BOTTLENECK)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """`hidden: (batch, channels, time)` → the same shape; padded frames may hold anything."""
        first, *rest = zero_padding(self.enter(hidden), mask).chunk(SCALE, dim=1)
        outputs = [first]
        for i, (chunk, layer) in enumerate(zip(rest, self.chunks, strict=True)):
            outputs.append(zero_padding(layer(chunk + outputs[-1] if i else chunk, mask), mask))
        return hidden + self.excite(self.leave(torch.cat(outputs, dim=1)), mask)


class Layer(nn.Sequential):
    """A convolution over time, ReLU, batch normalisation."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, dilation: int = 1, mirror: bool = False
    ) -> None:
        beyond = dilation * (kernel - 1) // 2
        self.beyond = beyond if mirror else 0
        convolution = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, padding=0 if mirror else beyond)
        super().__init__(convolution, nn.ReLU(), nn.BatchNorm1d(outputs))

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        """`input: (batch, inputs, time)`, zero where padded → `(batch, outputs, time)`, which is not."""
        hidden: Tensor = super().forward(mirrored(input, mask, self.beyond) if self.beyond else input)
        return hidden
