"""Log-mels as a torch module of matrix products, for exported graphs; values as laspa/features/mel.py."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from laspa.features.settings import LOG_FLOOR, framing
from laspa.features.torchaudio_shim import melscale_fbanks
from laspa.params import Features


class LogMel(nn.Module):
    """`log_mel` of a batch of waveforms of one length, in half precision's values.

    The Fourier transform is a product with cosines and sines over the bins that a filter holds. A frame is
    folded about the middle of its window first: cosines are even there and sines odd, so that half of the
    samples is enough: 0.6 times the time of a convolution with a stride.
    """

    def __init__(self, settings: Features, sample_rate: int) -> None:
        super().__init__()
        self.length, self.hop, self.size = framing(settings)
        filters = melscale_fbanks(
            self.size // 2 + 1,
            settings.low_hz,
            settings.high_hz,
            settings.num_mels,
            sample_rate,
            norm=None,
            mel_scale="htk",
        )
        held = filters.any(dim=1).nonzero().flatten()
        bins = torch.arange(int(held[0]), int(held[-1]) + 1, dtype=torch.float64)
        window = torch.hann_window(self.length, dtype=torch.float64)[-(self.length // 2) :]
        # The periodic window is 0 at its first sample, and equal at n and length − n.
        beyond = torch.arange(-(-self.length // 2), self.length, dtype=torch.float64) - self.length / 2
        angle = 2 * math.pi * beyond[:, None] * bins[None, :] / self.size
        weight = torch.where(beyond == 0, 0.5, 1.0) * window  # a sample in the middle is added to itself
        self.filters: Tensor
        self.cosines: Tensor
        self.sines: Tensor
        self.register_buffer("filters", filters[held[0] : held[-1] + 1].contiguous())
        self.register_buffer("cosines", (angle.cos() * weight[:, None]).float())
        self.register_buffer("sines", (angle.sin() * weight[:, None]).float())

    def forward(self, signal: Tensor) -> Tensor:
        """`signal: (batch, samples)` float32, full scale ±1 → (batch, frames, mels) float32."""
        frames = self._frames(signal)
        half = len(self.cosines)
        after, before = frames[:, :, -half:], frames[:, :, :half].flip(2)
        power = ((after + before) @ self.cosines).square() + ((after - before) @ self.sines).square()
        mel = (power @ self.filters).clamp(min=LOG_FLOOR).log()
        return (mel - mel.mean(dim=1, keepdim=True)).half().float()

    def _frames(self, signal: Tensor) -> Tensor:
        """(batch, frames, length − 1), without the first sample of each window.

        Whole hops side by side: a graph does this in a few copies, `unfold` in one per sample.
        """
        first = (self.size - self.length) // 2 + 1
        stop = first + self.length - 1
        count = (signal.shape[1] - self.size) // self.hop + 1
        side_by_side = -(-stop // self.hop)
        whole = (count + side_by_side - 1) * self.hop
        hops = F.pad(signal, (0, whole))[:, :whole].reshape(signal.shape[0], -1, self.hop)
        frames = torch.cat([hops[:, shift : shift + count] for shift in range(side_by_side)], dim=2)
        return frames[:, :, first:stop]
