"""Layers that look along time and must not see padding: masks, masked statistics, attentive pooling.

Everywhere `mask: (batch, time)` is true for real frames; None means that all are real.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from laspa.models.square_root import square_root

VARIANCE_FLOOR = 1e-5  # keeps the square root's gradient finite for constant features; our choice


def length_mask(lengths: Tensor | None, size: int, stride: int = 1) -> Tensor | None:
    """The mask `(batch, size)` of utterances of `lengths: (batch,)` frames, at `stride` frames per step."""
    if lengths is None:
        return None
    return torch.arange(size, device=lengths.device)[None, :] < -(-lengths // stride)[:, None]


def zero_padding(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """`hidden: (batch, channels, [mels,] time)` with zeros where padded."""
    if mask is None:
        return hidden
    return hidden.masked_fill(~mask.view(mask.shape[0], *[1] * (hidden.ndim - 2), -1), 0.0)


def masked_mean(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over real frames, and mels: `(batch, channels, [mels,] time)` → `(batch, channels)`."""
    if mask is None:
        mean: Tensor = _Mean.apply(hidden)
        return mean
    frames = hidden.mean(dim=2) if hidden.ndim == 4 else hidden
    return zero_padding(frames, mask).sum(dim=-1) / mask.sum(dim=-1, keepdim=True)


class _Mean(torch.autograd.Function):
    """Mean over all dimensions after the channels.

    Forward and backward take a tenth of the time of torch's own: that writes out the gradient before it
    divides it, and not in the channels-last format of the gradient that it is added to.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        ctx.shape = hidden.shape
        return hidden.mean(dim=tuple(range(2, hidden.ndim)))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        batch, channels, *spread = ctx.shape
        share = gradient / math.prod(spread)
        return share.view(batch, channels, *[1] * len(spread)).expand(ctx.shape)


def statistics_pooling(frames: Tensor, mask: Tensor | None = None, unbiased: bool = False) -> Tensor:
    """Mean and standard deviation over real frames: `(batch, channels, time)` → `(batch, 2 · channels)`.

    The deviation divides by the number of frames, so that one frame is enough (our choice); `unbiased`
    divides by one less, as public recognisers do, and by one where there is one frame.
    Source: Snyder et al., ICASSP 2018.
    """
    mean = masked_mean(frames, mask)
    variance = masked_mean((frames - mean[:, :, None]).square(), mask)
    if unbiased:
        real = (
            frames.new_ones(1, frames.shape[-1]) if mask is None else mask
        )  # summed: exported graphs keep it
        count = real.sum(dim=-1, keepdim=True)
        variance = variance * count / (count - 1).clamp(min=1)
    return torch.cat([mean, square_root(variance.clamp(min=VARIANCE_FLOOR))], dim=1)


class AttentiveStatistics(nn.Module):
    """Mean and standard deviation over time, each frame weighted by a learned attention.

    a_t = softmax_t(V tanh(W h_t)) for each channel; μ = Σ a_t h_t, σ² = Σ a_t h_t² − μ².
    With global context the attention also sees the utterance's plain mean and deviation:
    tanh(W [h_t; μ; σ]), computed as W_h h_t + W_c [μ; σ] with the second term once per utterance.
    `hidden` replaces tanh where a paper has another non-linearity.
    Sources: Okabe et al., Interspeech 2018; context, Desplanques et al., Interspeech 2020. The
    default width of the bottleneck is our choice.
    """

    def __init__(
        self,
        channels: int,
        bottleneck: int = 64,
        global_context: bool = False,
        hidden: nn.Module | None = None,
        time_last: bool = True,
    ) -> None:
        super().__init__()
        project = partial(nn.Conv1d, kernel_size=1) if time_last else nn.Linear
        self.time = -1 if time_last else 1
        self.score = nn.Sequential(
            project(channels, bottleneck), hidden or nn.Tanh(), project(bottleneck, channels)
        )
        self.context = nn.Linear(2 * channels, bottleneck, bias=False) if global_context else None

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """`frames: (batch, channels, time)`, or `(batch, time, channels)` where time is not last →
        `(batch, 2 · channels)`."""
        project, nonlinearity, expand = self.score
        projected = project(frames)
        if self.context is not None:
            projected = projected + self.context(statistics_pooling(frames, mask))[:, :, None]
        scores = expand(nonlinearity(projected))
        if mask is not None:
            scores = scores.masked_fill(~mask.unsqueeze(1 if self.time == -1 else 2), float("-inf"))
        weights = scores.softmax(dim=self.time)
        mean = (weights * frames).sum(dim=self.time)
        variance = (weights * frames.square()).sum(dim=self.time) - mean.square()
        return torch.cat([mean, square_root(variance.clamp(min=VARIANCE_FLOOR))], dim=1)


class SelfAttentiveMean(nn.Module):
    """Mean over time with one learned weight per frame: a_t = softmax_t(vᵀ tanh(W h_t + b)).

    Source: Cai et al., Odyssey 2018.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Sequential(
            nn.Conv1d(channels, channels, 1), nn.Tanh(), nn.Conv1d(channels, 1, 1, bias=False)
        )

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """`frames: (batch, channels, time)` → `(batch, channels)`."""
        scores = self.score(frames)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, :], float("-inf"))
        return (scores.softmax(dim=-1) * frames).sum(dim=-1)


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate from the utterance's mean: h · sigmoid(W₂ relu(W₁ mean(h))).

    Source: Hu et al., CVPR 2018.
    """

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, bottleneck), nn.ReLU(), nn.Linear(bottleneck, channels), nn.Sigmoid()
        )

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """`hidden: (batch, channels, [mels,] time)` → scaled, of the same shape."""
        gate: Tensor = self.gate(masked_mean(hidden, mask))
        return hidden * gate.view(*gate.shape, *[1] * (hidden.ndim - 2))
