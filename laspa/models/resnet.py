"""ResNet-34 with squeeze-excitation over the mel spectrogram as an image, light (S) and full (L)."""

import torch.nn.functional as F
from torch import Tensor, nn

from laspa.models.pooling import (
    AttentiveStatistics,
    SelfAttentiveMean,
    SqueezeExcitation,
    length_mask,
    masked_mean,
    zero_padding,
)

BLOCKS = (3, 4, 6, 3)  # of each stage, as in ResNet-34 (He et al., 2016)
SE_REDUCTION = 8
ATTENTION_BOTTLENECK = 128
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


def instance_norm(mel: Tensor, mask: Tensor | None) -> Tensor:
    """Each mel with mean 0 and variance 1 over its real frames: `(batch, mels, time)`, zero where padded."""
    centred = mel - masked_mean(mel, mask)[:, :, None]
    variance = masked_mean(centred.square(), mask)[:, :, None]
    return zero_padding(centred * (variance + NORM_EPSILON).rsqrt(), mask)
