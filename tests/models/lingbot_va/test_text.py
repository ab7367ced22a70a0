"""Instructions are cleaned and split as the model was trained with them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.text import TextEncoder, clean


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
    return lambda padded: TextEncoder(tiny / "tokenizer" / "tokenizer.json", weights, device=cpu, padded=padded)


def test_ids_end_with_the_end_and_are_cut_at_512(encoder):
    assert encoder(False).ids("")[-1:] == [1]
    ids = encoder(False).ids("z " * 600)
    assert (len(ids), ids[-1]) == (512, 1)


def test_padding_is_masked_so_that_leaving_it_out_changes_nothing(encoder):
    text = "pick up the bowl"
    torch.testing.assert_close(encoder(False).embed(text), encoder(True).embed(text), atol=1e-5, rtol=1e-5)
