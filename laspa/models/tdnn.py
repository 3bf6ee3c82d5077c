"""The small default encoder: a time-delay network quick enough to train on a laptop's CPU."""

import torch.nn.functional as F
from torch import Tensor, nn

from laspa.models.pooling import AttentiveStatistics, length_mask

DILATIONS = (1, 2, 3)  # with the stem's four frames a step sees 0.5 s; our choice


class TDNN(nn.Module):
    """Four frames a step, dilated residual convolutions, attentive statistics, one linear layer.

    After the x-vector's time-delay network (Snyder et al., 2018); the stem, one matrix product
    over four frames that do not overlap, and all sizes are our choice, made for speed.
    """

    stride = 4

    def __init__(self, num_mels: int, embedding_dim: int, channels: int) -> None:
        super().__init__()
        self.frame_dim = 2 * channels
        self.stem = nn.Linear(self.stride * num_mels, channels, bias=False)
        self.stem_norm = nn.BatchNorm1d(channels)
        self.blocks = nn.ModuleList([_layer(channels, channels, kernel=3, dilation=d) for d in DILATIONS])
        self.widen = _layer(channels, self.frame_dim, kernel=1)
        self.pool = AttentiveStatistics(self.frame_dim)
        self.norm = nn.BatchNorm1d(2 * self.frame_dim)
        self.project = nn.Linear(2 * self.frame_dim, embedding_dim)

    def forward(self, mel: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embeddings and the frames that they were pooled from.

        Args:
            mel: (batch, frames, mels).
            lengths: (batch,) real frames of each utterance, or None where all are.

        Returns:
            embedding (batch, embedding_dim) and frames (batch, ceil(frames / stride), frame_dim).
            Padding changes neither the embedding nor the real frames; padded frames are zero.
        """
        if lengths is not None:
            mel = mel * length_mask(lengths, mel.shape[1])[:, :, None]
            lengths = (lengths + self.stride - 1) // self.stride
        mel = F.pad(mel, (0, 0, 0, -mel.shape[1] % self.stride))
        steps = self.stem(mel.reshape(mel.shape[0], -1, self.stem.in_features)).transpose(1, 2)
        hidden = _masked(F.relu(self.stem_norm(steps)), lengths)
        for block in self.blocks:
            hidden = hidden + _masked(block(hidden), lengths)
        hidden = _masked(self.widen(hidden), lengths)
        mask = length_mask(lengths, hidden.shape[-1]) if lengths is not None else None
        embedding = self.project(self.norm(self.pool(hidden, mask)))
        return embedding, hidden.transpose(1, 2)


def _layer(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel - 1) // 2
    convolution = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, padding=padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm1d(outputs), nn.ReLU())


def _masked(hidden: Tensor, lengths: Tensor | None) -> Tensor:
    return hidden if lengths is None else hidden * length_mask(lengths, hidden.shape[-1])[:, None, :]
