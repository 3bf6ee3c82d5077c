"""CAM++: a small convolutional front end, then a densely connected TDNN with gates from the context."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from laspa.models.pooling import length_mask, masked_mean, statistics_pooling, zero_padding
from laspa.models.resnet import ImageBlock, convolution

# Sizes of the paper.
IMAGE_CHANNELS = 32  # of the front end, which halves the mels three times
STEM_CHANNELS = 128
GROWTH = 32  # channels that a dense layer adds
BOTTLENECK = 128  # inside a dense layer
SEGMENT = 100  # frames of a context segment, at the stride of two
DENSE_BLOCKS = ((12, 1), (24, 2), (16, 2))  # layers, dilation


class CAMPPlus(nn.Module):
    """CAM++. Source: Wang et al., Interspeech 2023 (arXiv 2303.00332), with 80 mels, an embedding of 512."""

    stride = 2

    def __init__(self, num_mels: int, embedding_dim: int) -> None:
        super().__init__()
        self.front = FrontEnd()
        self.stem = nn.Sequential(
            nn.Conv1d(IMAGE_CHANNELS * -(-num_mels // 8), STEM_CHANNELS, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm1d(STEM_CHANNELS),
            nn.ReLU(),
        )
        self.layers = nn.ModuleList()  # dense layers add channels, transitions halve them
        channels = STEM_CHANNELS
        for layers, dilation in DENSE_BLOCKS:
            for _ in range(layers):
                self.layers.append(DenseLayer(channels, dilation))
                channels += GROWTH
            self.layers.append(
                nn.Sequential(*_norm_relu(channels), nn.Conv1d(channels, channels // 2, 1, bias=False))
            )
            channels //= 2
        self.frame_dim = channels
        self.last = nn.Sequential(*_norm_relu(channels))
        self.project = nn.Sequential(
            nn.Linear(2 * channels, embedding_dim, bias=False), nn.BatchNorm1d(embedding_dim, affine=False)
        )

    def forward(self, mel: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `laspa.models.encoders`."""
        mask = length_mask(lengths, mel.shape[1])
        hidden = self.stem(self.front(zero_padding(mel.transpose(1, 2), mask), mask))
        mask = mask[:, :: self.stride] if mask is not None else None
        for layer in self.layers:
            if isinstance(layer, DenseLayer):
                hidden = torch.cat([hidden, layer(hidden, mask)], dim=1)
            else:
                hidden = layer(hidden)
        frames = zero_padding(self.last(hidden), mask)
        return self.project(statistics_pooling(frames, mask, unbiased=True)), frames.transpose(1, 2)


class FrontEnd(nn.Module):
    """Residual convolutions over the spectrogram as an image: mels / 8, time as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Sequential(*convolution(1, IMAGE_CHANNELS), nn.ReLU())
        self.blocks = nn.ModuleList(
            [ImageBlock(IMAGE_CHANNELS, IMAGE_CHANNELS, (mel_stride, 1)) for mel_stride in (2, 1, 2, 1)]
        )
        self.leave = nn.Sequential(*convolution(IMAGE_CHANNELS, IMAGE_CHANNELS, (2, 1)), nn.ReLU())

    def forward(self, mel: Tensor, mask: Tensor | None) -> Tensor:
        """`mel: (batch, mels, time)` → `(batch, IMAGE_CHANNELS · ceil(mels / 8), time)`, 0 if padded."""
        hidden = zero_padding(self.enter(mel[:, None]), mask)
        for block in self.blocks:
            hidden = block(hidden, mask)
        return zero_padding(self.leave(hidden), mask).flatten(1, 2)


class DenseLayer(nn.Module):
    """A convolution over time whose output is gated by its context.

    y = K(x) · sigmoid(W₂ relu(W₁ (mean of the utterance + mean of the segment))), with x narrowed
    by a 1 × 1 convolution. The gate is computed once per segment.
    """

    def __init__(self, inputs: int, dilation: int) -> None:
        super().__init__()
        self.narrow = nn.Sequential(
            *_norm_relu(inputs), nn.Conv1d(inputs, BOTTLENECK, 1, bias=False), *_norm_relu(BOTTLENECK)
        )
        self.local = nn.Conv1d(BOTTLENECK, GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.gate = nn.Sequential(
            nn.Conv1d(BOTTLENECK, BOTTLENECK // 2, 1),
            nn.ReLU(),
            nn.Conv1d(BOTTLENECK // 2, GROWTH, 1),
            nn.Sigmoid(),
        )

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """`hidden: (batch, inputs, time)` → `(batch, GROWTH, time)`; padded frames may hold anything."""
        narrow = zero_padding(self.narrow(hidden), mask)
        context = masked_mean(narrow, mask)[:, :, None] + segment_means(narrow, mask)
        gate = self.gate(context)[..., None].expand(-1, -1, -1, SEGMENT).flatten(2)
        return self.local(narrow) * gate[:, :, : narrow.shape[-1]]


def segment_means(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Means over the real frames of each segment: `(batch, channels, time)` → `(batch, channels, segments)`.

    `hidden` is zero where padded; a segment without real frames has mean 0.
    """
    time = hidden.shape[-1]
    segments = (time + SEGMENT - 1) // SEGMENT  # not -(-time // SEGMENT), which torch.export gets wrong
    real = hidden.new_ones(1, time) if mask is None else mask.to(hidden.dtype)

    def sums(x: Tensor) -> Tensor:
        return F.pad(x, (0, segments * SEGMENT - time)).unflatten(-1, (segments, SEGMENT)).sum(dim=-1)

    return sums(hidden) / sums(real).clamp(min=1)[:, None, :]


def _norm_relu(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm1d(channels), nn.ReLU()]
