"""The decoder that rebuilds the mel spectrogram from the fused embeddings."""

import torch
from torch import Tensor, nn


class Decoder(nn.Module):
    """LSTM and MLP over time, fed with both fused embeddings and a narrow content code.

    The published decoder is an LSTM with an MLP. Two pooled vectors do not say what was spoken when, so
    each step also reads a few dimensions projected from the language encoder's frames (our choice;
    without them, at `content_dim` 0, only an average spectrum can be rebuilt).
    """

    def __init__(
        self,
        embedding_dim: int,
        frame_dim: int,
        content_dim: int,
        hidden_dim: int,
        num_mels: int,
        stride: int,
    ) -> None:
        super().__init__()
        self.num_mels = num_mels
        self.content = nn.Linear(frame_dim, content_dim) if content_dim else None
        self.condition = nn.Linear(2 * embedding_dim, hidden_dim)
        self.lstm = nn.LSTM(hidden_dim + content_dim, hidden_dim, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(hidden_dim, 2 * hidden_dim), nn.ReLU(), nn.Linear(2 * hidden_dim, stride * num_mels)
        )

    def forward(self, speaker: Tensor, language: Tensor, frames: Tensor, num_frames: int) -> Tensor:
        """Rebuild a mel spectrogram.

        Args:
            speaker, language: (batch, embedding_dim), fused.
            frames: (batch, steps, frame_dim) of the language encoder, one step every `stride` mel frames.
            num_frames: of the mel spectrogram to rebuild; at most steps · stride.

        Returns:
            (batch, num_frames, mels).
        """
        batch, steps, _ = frames.shape
        inputs = self.condition(torch.cat([speaker, language], dim=1))[:, None, :].expand(-1, steps, -1)
        if self.content is not None:
            inputs = torch.cat([inputs, self.content(frames)], dim=-1)
        hidden, _ = self.lstm(inputs)
        return self.mlp(hidden).view(batch, -1, self.num_mels)[:, :num_frames]
