"""What inference computes once, or in another order, is what the plain modules compute."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.agents.lingbot_va.forwards import Fast, RoundedTwice, stacked
from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.padding import folded
from lingbot_eval.models.lingbot_va.transformer import PLAIN, gated, rotary, video_grid


def test_exact_mode_rounds_a_product_before_it_is_added():
    """As the original does; one fused step would leave the product's last bits, here 2^-24."""
    factor = torch.full((1, 8, 32), 1 + 2.0**-12)
    rounded = (factor * factor).neg()
    assert not gated(rounded, factor, factor[:, :1, None], RoundedTwice()).any()


def test_the_fused_product_is_the_three_and_needs_no_copy_of_loaded_weights(tiny):
    transformer = loading.load_transformer(locate(str(tiny)), torch.float32, torch.device("cpu"))
    x = torch.randn(1, 8, transformer.shape.width, generator=torch.Generator().manual_seed(0))
    turns = rotary(video_grid(3, 2, 4, 4), transformer.shape.attention_head_dim)
    fused = Fast(transformer).arithmetic
    for layer, block in transformer.layers():
        attn = block.attn1
        ours, wanted = (way.project(layer, attn, x, turns) for way in (fused, PLAIN))
        torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)
        weights = [linear.weight.detach() for linear in (attn.to_q, attn.to_k, attn.to_v)]
        assert stacked(weights).data_ptr() == attn.to_q.weight.data_ptr()
        apart = stacked([weight.clone() for weight in weights])
        assert torch.equal(apart, stacked(weights))
        assert torch.equal(apart, torch.cat(weights))
        assert torch.equal(stacked(weights[::-1]), torch.cat(weights[::-1]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [0, 1, 2, 490, 511])
def test_folded_scores_weigh_as_much_as_all_padding(count, dtype):
    scores = folded(count, dtype)
    assert torch.tensor(scores, dtype=torch.float64).to(dtype).tolist() == scores
    assert torch.tensor(scores, dtype=torch.float64).exp().sum().item() == pytest.approx(count, rel=1e-4)
    assert len(scores) <= (1 if dtype == torch.float32 else 3) + 1
