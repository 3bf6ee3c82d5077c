"""From frames to one vector: attentive statistics pooling."""

import torch
from torch import Tensor, nn

VARIANCE_FLOOR = 1e-5  # keeps the square root's gradient finite for constant features; our choice


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """Which frames are real: `lengths: (batch,)` → boolean `(batch, size)`."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


class AttentiveStatistics(nn.Module):
    """Mean and standard deviation over time, each frame weighted by a learned attention.

    a_t = softmax_t(V tanh(W h_t)), a channel each; μ = Σ a_t h_t, σ² = Σ a_t h_t² − μ².
    Source: Okabe et al., Interspeech 2018; the bottleneck's width is our choice.
    """

    def __init__(self, channels: int, bottleneck: int = 64) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Conv1d(channels, bottleneck, 1), nn.Tanh(), nn.Conv1d(bottleneck, channels, 1))

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """`frames: (batch, channels, time)`, `mask: (batch, time)` true where real → `(batch, 2 · channels)`."""
        scores = self.score(frames)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, :], float("-inf"))
        weights = scores.softmax(dim=-1)
        mean = (weights * frames).sum(dim=-1)
        variance = (weights * frames.square()).sum(dim=-1) - mean.square()
        return torch.cat([mean, variance.clamp(min=VARIANCE_FLOOR).sqrt()], dim=1)
