"""Prefix-tuned cross-attention against its formula and its known degenerate case."""

import math

import pytest
import torch

from laspa.errors import LaspaError
from laspa.models.prefix import ConcatFusion, PrefixTuner


def naive(tuner: PrefixTuner, query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    heads, width = tuner.num_heads, tuner.query.out_features // tuner.num_heads
    q = tuner.query(query)
    k = torch.cat([tuner.prefix_key, tuner.key(keys)])
    v = torch.cat([tuner.prefix_value, tuner.value(keys)])
    parts = []
    for head in range(heads):
        span = slice(head * width, (head + 1) * width)
        logits = [(q[span] @ token[span]).item() / math.sqrt(width) for token in k]
        shares = [math.exp(logit) for logit in logits]
        parts.append(sum(share / sum(shares) * token[span] for share, token in zip(shares, v, strict=True)))
    return tuner.norm(query + tuner.output(torch.cat(parts)))


def test_attention_equals_a_loop_over_heads_and_tokens():
    torch.manual_seed(0)
    tuner = PrefixTuner(query_dim=6, key_dim=5, attention_dim=8, num_heads=2, prefix_len=3)
    query, keys = torch.randn(4, 6), torch.randn(4, 7, 5)
    fused, attention = tuner(query, keys)
    expected = torch.stack([naive(tuner, q, k) for q, k in zip(query, keys, strict=True)])
    torch.testing.assert_close(fused, expected)
    assert attention.shape == (4, 2, 10)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(4, 2))


def test_masked_tokens_get_no_attention_and_change_nothing():
    torch.manual_seed(0)
    tuner = PrefixTuner(6, 5, 8, 2, 3)
    query, keys = torch.randn(2, 6), torch.randn(2, 7, 5)
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    fused, attention = tuner(query, keys, mask)
    alone, _ = tuner(query[1:], keys[1:, :4])
    torch.testing.assert_close(fused[1:], alone)
    assert attention[1, :, 3 + 4 :].abs().max() == 0


def test_one_key_without_prefix_ignores_the_query_and_a_prefix_mends_that():
    torch.manual_seed(0)
    key = torch.randn(1, 1, 5)
    for prefix_len, moved in ((0, False), (4, True)):
        tuner = PrefixTuner(6, 5, 8, 2, prefix_len)
        with torch.no_grad():
            tuner.prefix_key.normal_()
        _, first = tuner(torch.randn(1, 6), key)
        _, second = tuner(torch.randn(1, 6), key)
        assert (not torch.allclose(first, second)) == moved
        if not moved:
            assert torch.equal(first, torch.ones(1, 2, 1))


def test_heads_must_divide_the_dimension():
    with pytest.raises(LaspaError, match="num_heads is 3 but must divide attention_dim, 8"):
        PrefixTuner(6, 5, 8, 3, 2)


def test_concat_fusion_is_one_linear_map_of_both():
    torch.manual_seed(0)
    fusion = ConcatFusion(4)
    query, other = torch.randn(2, 4), torch.randn(2, 4)
    weight, bias = fusion.project.weight, fusion.project.bias
    expected = fusion.norm(query + query @ weight[:, :4].T + other @ weight[:, 4:].T + bias)
    torch.testing.assert_close(fusion(query, other), expected)
