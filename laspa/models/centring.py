"""Taking the language's mean out of speaker embeddings, without being told the language."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOMENTUM = 0.05  # of the running means, a batch: twenty batches back weigh e⁻¹; our choice


class LanguageCentring(nn.Module):
    """e / |e| − Σ_l p(l) μ_l: what the speakers of the language have in common is taken away.

    p is the language encoder's own posterior, so that unlabelled speech and languages never heard
    in training have an offset too, mixed from those that sound alike. μ_l is the running mean of
    language l's length-normalised embeddings in training, less the mean over languages. Removing a
    language's mean is an old remedy of recognition across languages; the posterior weights and the
    running means are our choice.
    """

    def __init__(self, num_languages: int, embedding_dim: int) -> None:
        super().__init__()
        self.means: Tensor
        self.register_buffer("means", torch.zeros(num_languages, embedding_dim))

    @torch.no_grad()
    def follow(self, embedding: Tensor, language: Tensor) -> None:
        """Move the means of the languages in a training batch: `(batch, dim)`, `(batch,)` class indices."""
        vectors = F.normalize(embedding.float())
        heard = F.one_hot(language, len(self.means)).to(vectors.dtype)
        count = heard.sum(dim=0)[:, None]
        now = heard.T @ vectors / count.clamp(min=1)
        # A language's first batch is its mean; later ones move it.
        step = torch.where(self.means.any(dim=1, keepdim=True), MOMENTUM, 1.0)
        self.means += step * (count > 0) * (now - self.means)

    def forward(self, embedding: Tensor, posterior: Tensor) -> Tensor:
        """`embedding: (batch, dim)`, `posterior: (batch, languages)` → `(batch, dim)`."""
        offsets = self.means - self.means.mean(dim=0)
        return F.normalize(embedding.float()) - posterior.float() @ offsets
