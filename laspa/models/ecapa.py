"""ECAPA-TDNN: squeeze-excited Res2Net blocks over time, their outputs aggregated, attentive pooling."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from laspa.models.pooling import AttentiveStatistics, SqueezeExcitation, length_mask, zero_padding

# Sizes of the paper.
DILATIONS = (2, 3, 4)
SCALE = 8  # chunks of a Res2Net convolution
BOTTLENECK = 128  # of squeeze-excitation and of the pooling's attention
FRAME_DIM = 1536  # of the aggregated frames, whatever the number of channels


class ECAPA(nn.Module):
    """ECAPA-TDNN: each block reads the sum of all outputs before it.

    Source: Desplanques et al., Interspeech 2020, with 512 or 1024 `channels`, 80 mels, an embedding of 192.
    """

    stride = 1
    frame_dim = FRAME_DIM

    def __init__(self, num_mels: int, embedding_dim: int, channels: int) -> None:
        super().__init__()
        self.stem = _layer(num_mels, channels, kernel=5)
        self.blocks = nn.ModuleList([SERes2Block(channels, dilation) for dilation in DILATIONS])
        self.aggregate = nn.Conv1d(len(DILATIONS) * channels, FRAME_DIM, 1)
        self.pool = AttentiveStatistics(FRAME_DIM, BOTTLENECK, global_context=True)
        self.norm = nn.BatchNorm1d(2 * FRAME_DIM)
        self.project = nn.Sequential(nn.Linear(2 * FRAME_DIM, embedding_dim), nn.BatchNorm1d(embedding_dim))

    def forward(self, mel: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `laspa.models.encoders`."""
        mask = length_mask(lengths, mel.shape[1])
        total = self.stem(zero_padding(mel.transpose(1, 2), mask))
        outputs = []
        for block in self.blocks:
            outputs.append(block(total, mask))
            total = total + outputs[-1]
        frames = zero_padding(F.relu(self.aggregate(torch.cat(outputs, dim=1))), mask)
        embedding = self.project(self.norm(self.pool(frames, mask)))
        return embedding, frames.transpose(1, 2)


class SERes2Block(nn.Module):
    """1 × 1 layer, Res2Net convolution, 1 × 1 layer, squeeze-excitation, and a residual connection.

    The Res2Net convolution cuts the channels into chunks x_i: y₁ = x₁, y₂ = K₂(x₂) and
    y_i = K_i(x_i + y_{i−1}), so later chunks see further in time (Gao et al., 2019).
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        width = channels // SCALE
        self.enter = _layer(channels, channels, kernel=1)
        self.chunks = nn.ModuleList(
            [_layer(width, width, kernel=3, dilation=dilation) for _ in range(SCALE - 1)]
        )
        self.leave = _layer(channels, channels, kernel=1)
        self.excite = SqueezeExcitation(channels, BOTTLENECK)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """`hidden: (batch, channels, time)` → the same shape; padded frames may hold anything."""
        first, *rest = zero_padding(self.enter(hidden), mask).chunk(SCALE, dim=1)
        outputs = [first]
        for i, (chunk, layer) in enumerate(zip(rest, self.chunks, strict=True)):
            outputs.append(zero_padding(layer(chunk + outputs[-1] if i else chunk), mask))
        return hidden + self.excite(self.leave(torch.cat(outputs, dim=1)), mask)


def _layer(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel - 1) // 2
    convolution = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, padding=padding)
    return nn.Sequential(convolution, nn.ReLU(), nn.BatchNorm1d(outputs))
