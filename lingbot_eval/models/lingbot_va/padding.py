"""Makes texts of one length: the transformer reads 512 positions, of which those behind a text are zeros that count."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MAX_TOKENS = 512
"""The transformer cross-attends to so many positions; those behind the real tokens are exactly zero, and are attended
to as well."""


def padded_once(embeddings: Sequence[Tensor], multiple: int = 1) -> tuple[Tensor, Tensor]:
    """Lay (n, text_dim) of each batch row's real tokens side by side: (b, keys, text_dim), and what is added to every
    key's score, (b, 1, 1, keys).

    Text is attended without a mask, so the zeros behind the real tokens count: 512 - n equal keys. Here they are one
    key whose score is raised by ln(512 - n). ``multiple``: there are so many keys, or a multiple of it; those behind
    count nothing.
    """
    first = embeddings[0]
    longest = max(len(embedding) for embedding in embeddings)
    extra = [folded(MAX_TOKENS - len(embedding), first.dtype) for embedding in embeddings]
    length = multiple * math.ceil((longest + max(len(scores) for scores in extra)) / multiple)
    padded = first.new_zeros(len(embeddings), length, first.shape[-1])
    biases = torch.full((len(embeddings), 1, 1, length), -math.inf)
    for row, (embedding, scores) in enumerate(zip(embeddings, extra, strict=True)):
        n = len(embedding)
        padded[row, :n] = embedding
        biases[row, ..., :n] = 0
        biases[row, ..., n : n + len(scores)] = torch.tensor(scores)
    return padded, biases.to(first.device, first.dtype)


def folded(count: int, dtype: torch.dtype) -> list[float]:
    """Return scores s with sum(exp(s)) = count, each exact in ``dtype``: one in float32, a few in bfloat16, where
    ln(count) alone would be off by up to 1.6 %."""
    scores: list[float] = []
    rest = float(count)
    while rest > 1e-5 * count:
        score = torch.tensor(math.log(rest)).to(dtype)
        if score.double().exp().item() > rest * (1 + 1e-6):
            score = torch.nextafter(score, torch.tensor(-math.inf, dtype=dtype))
        scores.append(score.item())
        rest -= math.exp(scores[-1])
    return scores
