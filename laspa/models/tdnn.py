"""The small default encoder: a time-delay network fast enough to train on a laptop's CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from laspa.models.pooling import AttentiveStatistics, length_mask

DILATIONS = (1, 2, 3)  # with the stem's four frames a step sees 0.5 s; our choice


class TDNN(nn.Module):
    """Four frames per step, dilated residual convolutions, attentive statistics, one linear layer.

    After the x-vector's time-delay network (Snyder et al., 2018). The stem, one matrix product over four
    frames without overlap, and all sizes are our choice, made for speed.
    """

    stride = 4

    def __init__(self, num_mels: int, embedding_dim: int, channels: int) -> None:
        super().__init__()
        self.frame_dim = 2 * channels
        self.stem = nn.Linear(self.stride * num_mels, channels, bias=False)
        self.stem_norm = nn.BatchNorm1d(channels)
        self.blocks = nn.ModuleList([StepLayer(channels, channels, kernel=3, dilation=d) for d in DILATIONS])
        self.widen = StepLayer(channels, self.frame_dim, kernel=1)
        self.pool = AttentiveStatistics(self.frame_dim, time_last=False)
        self.norm = nn.BatchNorm1d(2 * self.frame_dim)
        self.project = nn.Linear(2 * self.frame_dim, embedding_dim)

    def forward(self, mel: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `laspa.models.encoders`."""
        mel = _zero_padding(mel, length_mask(lengths, mel.shape[1]))
        mel = F.pad(mel, (0, 0, 0, -mel.shape[1] % self.stride))
        steps = self.stem(mel.reshape(mel.shape[0], -1, self.stem.in_features))
        mask = length_mask(lengths, steps.shape[1], self.stride)
        hidden = _zero_padding(F.relu(_normed(self.stem_norm, steps)), mask)
        for block in self.blocks:
            hidden = hidden + _zero_padding(block(hidden), mask)
        hidden = _zero_padding(self.widen(hidden), mask)
        return self.project(self.norm(self.pool(hidden, mask))), hidden


class StepConv(nn.Conv1d):
    """A zero-padded convolution over the steps of `(batch, steps, channels)`, as one matrix product.

    On matrices as small as the TDNN's it is faster than torch's convolution over `(batch, channels, steps)`.
    """

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, steps, in_channels)` → `(batch, steps, out_channels)`."""
        steps, (kernel,), (dilation,) = input.shape[1], self.kernel_size, self.dilation
        if kernel > 1:
            beyond = dilation * (kernel - 1) // 2
            padded = F.pad(input, (0, 0, beyond, beyond))
            input = torch.cat([padded[:, i * dilation :][:, :steps] for i in range(kernel)], dim=-1)
        return F.linear(input, self.weight.transpose(1, 2).flatten(1))


class StepLayer(nn.Sequential):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1) -> None:
        convolution = StepConv(inputs, outputs, kernel, dilation=dilation, bias=False)
        super().__init__(convolution, nn.BatchNorm1d(outputs), nn.ReLU())

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, steps, inputs)` → `(batch, steps, outputs)`."""
        convolution, norm, relu = self
        return relu(_normed(norm, convolution(input)))


def _normed(norm: nn.Module, hidden: Tensor) -> Tensor:
    return norm(hidden.flatten(0, 1)).view_as(hidden)


def _zero_padding(hidden: Tensor, mask: Tensor | None) -> Tensor:
    return hidden if mask is None else hidden.masked_fill(~mask[:, :, None], 0.0)
