"""Instructions are cleaned and split as the model was trained with them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.text import TextEncoder, clean
from lingbot_eval.models.lingbot_va.transformer import folded


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("  pick\n up \t it ", "pick up it"),
        ("a &amp;amp; b", "a & b"),
        ("a < &amp;amp; b", "a < & b"),  # where ftfy sees markup it undoes none itself
        ("the “table”", 'the "table"'),
        ("cafÃ©", "café"),
        ("", ""),
    ],
)
def test_cleaning(written, read):
    assert clean(written) == read


@pytest.fixture
def encoder(tiny):
    checkpoint, cpu = locate(str(tiny)), torch.device("cpu")
    weights = loading.load_text_encoder(checkpoint, torch.float32, cpu)
    return lambda exact: TextEncoder(tiny / "tokenizer" / "tokenizer.json", weights, device=cpu, exact=exact)


def test_ids_end_with_the_end_and_are_cut_at_512(encoder):
    assert encoder(False).ids("")[-1:] == [1]
    ids = encoder(False).ids("z " * 600)
    assert (len(ids), ids[-1]) == (512, 1)


def test_padding_is_masked_so_that_leaving_it_out_changes_nothing(encoder):
    text = "pick up the bowl"
    torch.testing.assert_close(encoder(False).embed(text), encoder(True).embed(text), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [0, 1, 2, 490, 511])
def test_folded_scores_weigh_as_much_as_all_padding(count, dtype):
    scores = folded(count, dtype)
    assert torch.tensor(scores, dtype=torch.float64).to(dtype).tolist() == scores
    assert torch.tensor(scores, dtype=torch.float64).exp().sum().item() == pytest.approx(count, rel=1e-4)
    assert len(scores) <= (1 if dtype == torch.float32 else 3) + 1
