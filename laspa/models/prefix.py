"""Prefix-tuned cross-attention: one encoder's embedding is the query, the other encoder gives the keys."""

import torch
from torch import Tensor, nn

from laspa.errors import LaspaError

PREFIX_STD = 0.02  # of the prefixes' initial values; our choice, as usual for learned tokens


class PrefixTuner(nn.Module):
    """Multi-head cross-attention with learnable prefixes on keys and values.

    softmax(Q [P_k; K]ᵀ / √d) [P_v; V], with Q from one encoder and K, V from the other. All
    projections have a small inner dimension, which adds few parameters.
    Source: LASPA (Interspeech 2025) after prefix-tuning (Li and Liang, 2021). The inner dimension
    and the residual, normalised update are our choice.

    With one key (a pooled embedding) and no prefix the attention weight is always 1: the tuner
    is then a linear map of the key that ignores the query.
    """

    def __init__(
        self, query_dim: int, key_dim: int, attention_dim: int, num_heads: int, prefix_len: int
    ) -> None:
        super().__init__()
        if attention_dim % num_heads:
            raise LaspaError(f"num_heads is {num_heads} but must divide attention_dim, {attention_dim}")
        self.num_heads = num_heads
        self.prefix_len = prefix_len
        self.query = nn.Linear(query_dim, attention_dim, bias=False)
        self.key = nn.Linear(key_dim, attention_dim, bias=False)
        self.value = nn.Linear(key_dim, attention_dim, bias=False)
        self.output = nn.Linear(attention_dim, query_dim, bias=False)
        self.prefix_key = nn.Parameter(torch.randn(prefix_len, attention_dim) * PREFIX_STD)
        self.prefix_value = nn.Parameter(torch.randn(prefix_len, attention_dim) * PREFIX_STD)
        self.norm = nn.LayerNorm(query_dim)

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Fuse what `keys` hold into `query`.

        Args:
            query: (batch, query_dim), one encoder's embedding.
            keys: (batch, tokens, key_dim), the other encoder's frames, or its embedding as one token.
            mask: (batch, tokens) true where a token is real, or None where all are.

        Returns:
            the fused embedding (batch, query_dim) and the attention (batch, heads, prefix_len + tokens).
        """
        batch = len(keys)
        key = torch.cat([self.prefix_key.expand(batch, -1, -1), self.key(keys)], dim=1)
        value = torch.cat([self.prefix_value.expand(batch, -1, -1), self.value(keys)], dim=1)
        q = self._heads(self.query(query)[:, None, :])
        scores = q @ self._heads(key).transpose(-1, -2) / q.shape[-1] ** 0.5
        if mask is not None:
            real = torch.cat([mask.new_ones(batch, self.prefix_len), mask], dim=1)
            scores = scores.masked_fill(~real[:, None, None, :], float("-inf"))
        attention = scores.softmax(dim=-1)
        update = (attention @ self._heads(value)).transpose(1, 2).reshape(batch, -1)
        return self.norm(query + self.output(update)), attention[:, :, 0, :]

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class ConcatFusion(nn.Module):
    """What prefix-tuners are compared with: one linear layer over both embeddings."""

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(2 * embedding_dim, embedding_dim)
        self.norm = nn.LayerNorm(embedding_dim)

    def forward(self, query: Tensor, other: Tensor) -> Tensor:
        """`query, other: (batch, embedding_dim)` → fused `(batch, embedding_dim)`."""
        return self.norm(query + self.project(torch.cat([query, other], dim=1)))
