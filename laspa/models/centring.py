"""Subtracts the language's mean from speaker embeddings, without being told the language."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOMENTUM = 0.05  # of the running means, per batch: twenty batches later a batch weighs e⁻¹; our choice


class LanguageCentring(nn.Module):
    """e / |e| − Σ_l p(l) μ_l: subtracts what the speakers of the language have in common.

    p is the language encoder's own posterior, so unlabelled speech and unseen languages have an offset
    too, mixed from those of languages that sound similar. μ_l is the running mean of language l's
    length-normalised embeddings in training, minus the mean over languages. Subtracting a language's mean
    is common in recognition across languages; the posterior weights and running means are our choice.
    """

    def __init__(self, num_languages: int, embedding_dim: int) -> None:
        super().__init__()
        self.means: Tensor
        self.register_buffer("means", torch.zeros(num_languages, embedding_dim))

    @torch.no_grad()
    def follow(self, embedding: Tensor, language: Tensor) -> None:
        """Move the means of the languages in a training batch: `(batch, dim)`, `(batch,)` class indices."""
        vectors = F.normalize(embedding.float())
        spoken = F.one_hot(language, len(self.means)).to(vectors.dtype)
        count = spoken.sum(dim=0)[:, None]
        now = spoken.T @ vectors / count.clamp(min=1)
        # The first batch of a language sets its mean; later ones move it.
        step = torch.where(self.means.any(dim=1, keepdim=True), MOMENTUM, 1.0)
        self.means += step * (count > 0) * (now - self.means)

    def forward(self, embedding: Tensor, posterior: Tensor) -> Tensor:
        """`embedding: (batch, dim)`, `posterior: (batch, languages)` → `(batch, dim)`."""
        offsets = self.means - self.means.mean(dim=0)
        return F.normalize(embedding.float()) - posterior.float() @ offsets
