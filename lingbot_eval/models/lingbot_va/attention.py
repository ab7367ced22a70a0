"""A block hands over queries, keys and values, and takes what was found for them.

Whether the history is a cache of what earlier forwards wrote (``key_value_cache.py``), a mask over one long sequence,
or several sessions side by side, is the business of who calls the transformer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch.nn.functional as F  # noqa: N812
from torch import Tensor


class History(Protocol):
    """Knows the tokens that those of a forward attend to, themselves included."""

    def attend(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Take what a layer's tokens ask, and say of themselves, (b, L, heads, head_dim) each, normed and turned by
        their positions; return what they find, of the same shape."""


class Store(History, Protocol):
    """A history that also takes what is written without a question."""

    def write(self, layer: int, keys: Tensor, values: Tensor) -> object:
        """Take a layer's keys and values, (b, L, heads, head_dim)."""


class Text(Protocol):
    """Knows the texts that the tokens of a forward attend to."""

    def attend(self, layer: int, queries: Tensor) -> Tensor:
        """Take what a layer's tokens ask, (b, L, heads, head_dim); return what they find, of the same shape."""


@dataclass(frozen=True)
class Prompt:
    """Holds what texts are in each layer: keys and values (b, heads, keys, head_dim), and what is added to every key's
    score, (b, 1, 1, keys) or None for nothing."""

    layers: Sequence[tuple[Tensor, Tensor]]
    bias: Tensor | None = None

    def first(self, rows: int) -> Prompt:
        """Return the first ``rows`` batch rows of it."""
        if rows == len(self.layers[0][0]):
            return self
        bias = None if self.bias is None else self.bias[:rows]
        return Prompt([(keys[:rows], values[:rows]) for keys, values in self.layers], bias)

    def attend(self, layer: int, queries: Tensor) -> Tensor:
        return attended(queries, *self.layers[layer], self.bias)


def attended(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """Queries (b, L, heads, head_dim), keys and values (b, heads, tokens, head_dim) -> (b, L, heads, head_dim).
    ``bias`` is what ``scaled_dot_product_attention`` takes as its mask."""
    return F.scaled_dot_product_attention(queries.transpose(1, 2), keys, values, attn_mask=bias).transpose(1, 2)
