"""ReDimNet: stages of 2-D convolutions and 1-D context; each reads a mixture of all outputs so far."""

from functools import partial, reduce
from math import prod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from laspa.errors import LaspaError
from laspa.models.pooling import AttentiveStatistics, length_mask, zero_padding

CONTEXT_KERNELS = (7, 19, 31, 59)  # of the 1-D convolutions, as published
CONTEXT_HEADS = 4
ATTENTION_BOTTLENECK = 128
RELEASED_FLOOR = 1e-7  # of a variance, in the released code
EPSILON = 1e-6  # of the layer norms, as published


class Stage(NamedTuple):
    """`stride` mels become `stride` times the channels, for `blocks` blocks.

    The blocks are `expansion` times as wide; the 1-D context that follows is `reduction` times
    narrower than channels × mels (none where 0).
    """

    stride: int
    blocks: int
    expansion: int
    reduction: int


class Size(NamedTuple):
    """A published size: mels, channels at the start, channels per group of each convolution.

    convnext: blocks of one convolution each (ConvNeXt-like), else of two (ResNet-like).
    context: whether the pooling's attention sees the whole utterance's statistics.
    stages: the fields of each `Stage`.
    """

    num_mels: int
    channels: int
    group: int
    convnext: bool
    context: bool
    stages: tuple[tuple[int, int, int, int], ...]


SIZES = {
    "redimnet_b0": Size(
        num_mels=60,
        channels=10,
        group=1,
        convnext=False,
        context=True,
        stages=((1, 2, 1, 30), (2, 3, 2, 30), (1, 3, 3, 30), (2, 4, 2, 10), (1, 3, 1, 10)),
    ),
    "redimnet_b1": Size(
        num_mels=72,
        channels=12,
        group=8,
        convnext=True,
        context=True,
        stages=((1, 2, 1, 0), (2, 3, 1, 0), (3, 4, 1, 12), (2, 5, 1, 12), (2, 3, 1, 8)),
    ),
    # Without context it has the paper's 4.7 M parameters; with it, as in released weights, 5.07 M.
    "redimnet_b2": Size(
        num_mels=72,
        channels=16,
        group=4,
        convnext=True,
        context=False,
        stages=((1, 2, 1, 12), (2, 2, 1, 12), (1, 3, 1, 12), (3, 4, 1, 8), (1, 4, 1, 8), (2, 4, 1, 4)),
    ),
}
# As WeSpeaker builds b2, and the released code by default: half of the mels in the fourth stage, not a third.
SIZES["redimnet_b2_light"] = SIZES["redimnet_b2"]._replace(
    stages=tuple(
        (2, *stage[1:]) if place == 3 else stage for place, stage in enumerate(SIZES["redimnet_b2"].stages)
    )
)


class ReDimNet(nn.Module):
    """Reshape Dimensions Network.

    Every stage gives channels × mels features per frame, however these are split, so each can read a
    learned mixture of all outputs before it; the last mixture is pooled.
    Source: Yakovlev et al., Interspeech 2024 (arXiv 2407.18223). At another number of mels than the
    published one the width of the 1-D context is rounded to a multiple of its heads (our choice).
    `released`: pool as the released weights want it.

    Raises:
        LaspaError: a number of mels that the stages' strides do not divide.
    """

    stride = 1

    def __init__(self, num_mels: int, embedding_dim: int, size: str, released: bool = False) -> None:
        super().__init__()
        published = SIZES[size]
        stages = [Stage(*fields) for fields in published.stages]
        factor = prod(stage.stride for stage in stages)
        if num_mels % factor:
            raise LaspaError(
                f"num_mels is {num_mels} but {size} needs a multiple of {factor}; "
                f"the published model has {published.num_mels}"
            )
        self.frame_dim = published.channels * num_mels
        self.stem = nn.Sequential(
            nn.Conv2d(1, published.channels, 3, padding=1), ChannelNorm(published.channels, EPSILON)
        )
        self.mixtures, self.stages = nn.ModuleList(), nn.ModuleList()
        channels, mels = published.channels, num_mels
        for i, stage in enumerate(stages):
            self.mixtures.append(Mixture(i + 1, self.frame_dim))
            self.stages.append(StageBlocks(channels, mels, stage, published))
            channels, mels = channels * stage.stride, mels // stage.stride
        self.mixtures.append(Mixture(len(stages) + 1, self.frame_dim))
        context = published.context or released
        statistics: dict[str, Any] = {"unbiased": True, "floor": RELEASED_FLOOR} if released else {}
        self.pool = AttentiveStatistics(self.frame_dim, ATTENTION_BOTTLENECK, context, **statistics)
        self.norm = nn.BatchNorm1d(2 * self.frame_dim)
        self.project = nn.Linear(2 * self.frame_dim, embedding_dim)

    def forward(self, mel: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `laspa.models.encoders`."""
        mask = length_mask(lengths, mel.shape[1])
        image = zero_padding(mel.transpose(1, 2), mask)[:, None]
        outputs = [_to_1d(zero_padding(self.stem(image), mask))]
        *mixtures, last = self.mixtures
        for mixture, stage in zip(mixtures, self.stages, strict=True):
            outputs.append(stage(mixture(outputs), mask))
        frames = last(outputs)
        return self.project(self.norm(self.pool(frames, mask))), frames.transpose(1, 2)


class Mixture(nn.Module):
    """A weighted mean of the outputs so far: per feature, a softmax over outputs of learned logits."""

    def __init__(self, outputs: int, features: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(outputs, features, 1)) if outputs > 1 else None

    def forward(self, outputs: list[Tensor]) -> Tensor:
        """`outputs`: each (batch, features, time) → the same shape."""
        if self.logits is None:
            return outputs[0]
        weights = self.logits.softmax(dim=0)
        return reduce(torch.add, (weight * one for weight, one in zip(weights, outputs, strict=True)))


class StageBlocks(nn.Module):
    """The blocks of one stage: mels to channels, 2-D blocks, back to the flat shape, 1-D context."""

    def __init__(self, channels: int, mels: int, stage: Stage, size: Size) -> None:
        super().__init__()
        self.channels, self.mels = channels, mels
        narrow = channels * stage.stride
        wide = narrow * stage.expansion
        self.split = nn.Conv2d(channels, wide, (stage.stride, 1), stride=(stage.stride, 1))
        block = _convnext_2d if size.convnext else ResidualBlock
        self.blocks = nn.ModuleList([block(wide, size.group) for _ in range(stage.blocks)])
        self.squeeze, self.context = None, None
        if stage.expansion != 1:
            self.squeeze = nn.Sequential(
                nn.Conv2d(wide, narrow, 3, padding=1, groups=narrow // size.group),
                nn.BatchNorm2d(narrow, eps=EPSILON),
                nn.GELU(),
                nn.Conv2d(narrow, narrow, 1),
            )
        if stage.reduction:
            self.context = TimeContext(channels * mels, stage.reduction)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """`hidden: (batch, channels · mels, time)`, zero where padded, as is the result."""
        image = hidden.unflatten(1, (self.mels, self.channels)).transpose(1, 2)
        image = zero_padding(self.split(image), mask)
        for block in self.blocks:
            image = block(image, mask)
        if self.squeeze is not None:
            image = zero_padding(self.squeeze(image), mask)
        flat = _to_1d(image)
        return flat if self.context is None else self.context(flat, mask)


class Residual(nn.Module):
    """x + layers(x), of which only the first may look along time."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """`hidden: (batch, channels, [mels,] time)`, zero where padded, as is the result."""
        return zero_padding(hidden + self.layers(hidden), mask)


class ResidualBlock(nn.Module):
    """Two grouped 3 × 3 convolutions, each followed by a 1 × 1 one, beside the identity."""

    def __init__(self, channels: int, group: int) -> None:
        super().__init__()

        def convolve() -> list[nn.Module]:
            grouped = nn.Conv2d(channels, channels, 3, padding=1, groups=channels // group, bias=False)
            return [grouped, nn.Conv2d(channels, channels, 1)]

        self.first = nn.Sequential(*convolve(), nn.ReLU(), nn.BatchNorm2d(channels))
        self.second = nn.Sequential(*convolve(), nn.BatchNorm2d(channels))

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """`hidden: (batch, channels, mels, time)`, zero where padded, as is the result."""
        update = self.second(zero_padding(self.first(hidden), mask))
        return zero_padding(F.relu(hidden + update), mask)


class TimeContext(nn.Module):
    """1-D context: narrow, convolutions of growing kernels, one transformer layer, widen, residual."""

    def __init__(self, features: int, reduction: int) -> None:
        super().__init__()
        width = CONTEXT_HEADS * max(1, round(features / reduction / CONTEXT_HEADS))
        self.narrow = nn.Sequential(nn.Conv1d(features, width, 1), ChannelNorm(width, EPSILON))
        self.convolutions = nn.ModuleList([_convnext_1d(width, kernel) for kernel in CONTEXT_KERNELS])
        self.transformer = nn.TransformerEncoderLayer(
            width,
            CONTEXT_HEADS,
            dim_feedforward=width,
            dropout=0.0,
            activation=partial(F.gelu, approximate="tanh"),
            layer_norm_eps=EPSILON,
            batch_first=True,
        )
        self.widen = nn.Conv1d(width, features, 1)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """`hidden: (batch, features, time)`, zero where padded, as is the result."""
        narrow = zero_padding(self.narrow(hidden), mask)
        for convolution in self.convolutions:
            narrow = convolution(narrow, mask)
        padding = ~mask if mask is not None else None
        narrow = self.transformer(narrow.transpose(1, 2), src_key_padding_mask=padding).transpose(1, 2)
        return zero_padding(hidden + self.widen(narrow), mask)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of `(batch, channels, [mels,] time)`."""

    def forward(self, input: Tensor) -> Tensor:
        """The same shape, each position normalised separately."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


def _convnext_2d(channels: int, group: int) -> Residual:
    grouped = nn.Conv2d(channels, channels, 3, padding=1, groups=channels // group)
    return Residual(grouped, nn.BatchNorm2d(channels), nn.GELU(), nn.Conv2d(channels, channels, 1))


def _convnext_1d(channels: int, kernel: int) -> Residual:
    depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
    return Residual(depthwise, nn.BatchNorm1d(channels), nn.GELU(), nn.Conv1d(channels, channels, 1))


def _to_1d(image: Tensor) -> Tensor:
    """(batch, channels, mels, time) → (batch, mels · channels, time), the channels of a mel side by side."""
    return image.transpose(1, 2).flatten(1, 2)
