"""ResNet-34 over the mel spectrogram as an image: with squeeze-excitation, light (S) and full (L); plain."""

import torch.nn.functional as F
from torch import Tensor, nn

from laspa.models.pooling import (
    AttentiveStatistics,
    SelfAttentiveMean,
    SqueezeExcitation,
    length_mask,
    masked_mean,
    statistics_pooling,
    zero_padding,
)

BLOCKS = (3, 4, 6, 3)  # of each stage, as in ResNet-34 (He et al., 2016)
SE_REDUCTION = 8
ATTENTION_BOTTLENECK = 128
TSTP_FLOOR = 1e-7  # of a variance, in WeSpeaker's code
NORM_EPSILON = 1e-5  # of the instance normalisation in the published models


class ResNetSE(nn.Module):
    """ResNet-34 with squeeze-excitation blocks, over instance-normalised mels.

    light: ResNetSE34L, "Fast ResNet-34" (Chung et al., Interspeech 2020): channels 16 to 128, mels
    halved in the stem and averaged at the end, self-attentive mean.
    Otherwise: ResNetSE34V2, "H/ASP" (Heo et al., 2020): channels 32 to 256, full resolution in the
    stem, attentive statistics over every channel of every remaining mel.
    """

    def __init__(self, num_mels: int, embedding_dim: int, light: bool) -> None:
        super().__init__()
        widths = [(16 if light else 32) * 2**stage for stage in range(len(BLOCKS))]
        strides = (1, 2, 2, 1) if light else (1, 2, 2, 2)
        self.light = light
        self.stride = 4 if light else 8
        if light:
            convolution = nn.Conv2d(1, widths[0], 7, stride=(2, 1), padding=3, bias=False)
            self.stem = nn.Sequential(convolution, nn.BatchNorm2d(widths[0]), nn.ReLU())
        else:
            convolution = nn.Conv2d(1, widths[0], 3, padding=1)
            self.stem = nn.Sequential(convolution, nn.ReLU(), nn.BatchNorm2d(widths[0]))
        self.blocks = nn.ModuleList()
        inputs = widths[0]
        for width, count, stride in zip(widths, BLOCKS, strides, strict=True):
            for i in range(count):
                self.blocks.append(SEBlock(inputs, width, stride if i == 0 else 1))
                inputs = width
        # The full network divides the mels by 8, rounded up; the light one averages over them.
        self.frame_dim = widths[-1] * (1 if light else -(-num_mels // 8))
        self.pool: nn.Module
        if light:
            self.pool = SelfAttentiveMean(self.frame_dim)
        else:
            hidden = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(ATTENTION_BOTTLENECK))
            self.pool = AttentiveStatistics(self.frame_dim, ATTENTION_BOTTLENECK, hidden=hidden)
        self.project = nn.Linear(self.frame_dim * (1 if light else 2), embedding_dim)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, mel: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `laspa.models.encoders`."""
        mask = length_mask(lengths, mel.shape[1])
        # Convolutions over channels-last images are faster, on CPUs and GPUs alike.
        image = instance_norm(mel.transpose(1, 2), mask).contiguous()[..., None].movedim(-1, 1)
        hidden = zero_padding(self.stem(image), mask)
        for block in self.blocks:
            mask = mask[:, :: block.stride] if mask is not None else None
            hidden = block(hidden, mask)
        frames = hidden.mean(dim=2) if self.light else hidden.flatten(1, 2)
        return self.project(self.pool(frames, mask)), frames.transpose(1, 2)


class SEBlock(nn.Module):
    """Two 3 × 3 convolutions and squeeze-excitation, beside a shortcut; the first may stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.first = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.ReLU(),
            nn.BatchNorm2d(outputs),
        )
        self.second = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.excite = SqueezeExcitation(outputs, outputs // SE_REDUCTION)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """`hidden: (batch, inputs, mels, time)`; `mask` is that of the output, after the stride."""
        update = self.second(zero_padding(self.first(hidden), mask))
        return zero_padding(F.relu(self.excite(update, mask) + self.shortcut(hidden)), mask)


class ResNet(nn.Module):
    """ResNet-34 without squeeze-excitation; mean and deviation over time of each channel of each mel (TSTP).

    Source: WeSpeaker (Wang et al., ICASSP 2023), with 80 mels and an embedding of 256. Two thirds of its work
    are in the first two stages, whose images are large.
    """

    stride = 8

    def __init__(self, num_mels: int, embedding_dim: int) -> None:
        super().__init__()
        widths = [32 * 2**stage for stage in range(len(BLOCKS))]
        self.stem = nn.Sequential(*convolution(1, widths[0]), nn.ReLU())
        self.blocks = nn.ModuleList()
        inputs = widths[0]
        for stage, (width, count) in enumerate(zip(widths, BLOCKS, strict=True)):
            for i in range(count):
                stride = 2 if stage and not i else 1
                self.blocks.append(ImageBlock(inputs, width, (stride, stride)))
                inputs = width
        self.frame_dim = widths[-1] * -(-num_mels // 8)
        self.project = nn.Linear(2 * self.frame_dim, embedding_dim)

    def forward(self, mel: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `laspa.models.encoders`."""
        mask = length_mask(lengths, mel.shape[1])
        # Convolutions over channels-last images are faster, as in ResNetSE.
        image = zero_padding(mel.transpose(1, 2), mask).contiguous()[..., None].movedim(-1, 1)
        hidden = zero_padding(self.stem(image), mask)
        for block in self.blocks:
            mask = mask[:, :: block.time_stride] if mask is not None else None
            hidden = block(hidden, mask)
        frames = hidden.flatten(1, 2)
        pooled = statistics_pooling(frames, mask, unbiased=True, floor=TSTP_FLOOR)
        return self.project(pooled), frames.transpose(1, 2)


class ImageBlock(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut; the first may stride, over mels and time."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.time_stride = stride[1]
        self.first = nn.Sequential(*convolution(inputs, outputs, stride), nn.ReLU())
        self.second = nn.Sequential(*convolution(outputs, outputs))
        self.shortcut: nn.Module = nn.Identity()
        if stride != (1, 1) or inputs != outputs:
            self.shortcut = nn.Sequential(*convolution(inputs, outputs, stride, kernel=1))

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """`hidden: (batch, inputs, mels, time)`, zero where padded, as is the result; `mask` is that of the
        output, after the stride."""
        update = self.second(zero_padding(self.first(hidden), mask))
        return zero_padding(F.relu(update + self.shortcut(hidden)), mask)


def convolution(
    inputs: int, outputs: int, stride: tuple[int, int] = (1, 1), kernel: int = 3
) -> list[nn.Module]:
    """A convolution over mels and time, and batch normalisation."""
    padding = kernel // 2
    return [
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False),
        nn.BatchNorm2d(outputs),
    ]


def instance_norm(mel: Tensor, mask: Tensor | None) -> Tensor:
    """Each mel with mean 0 and variance 1 over its real frames: `(batch, mels, time)`, zero where padded."""
    centred = mel - masked_mean(mel, mask)[:, :, None]
    variance = masked_mean(centred.square(), mask)[:, :, None]
    return zero_padding(centred * (variance + NORM_EPSILON).rsqrt(), mask)
