"""Attends in a training sequence, in four ways that are equal: over all pairs with a mask, by one kernel or by plain
products, by flexible attention, and piece by piece. What sees what is :func:`masks.sees` in each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.attention import History, attended
from lingbot_eval.models.lingbot_va.masks import CLEAN, Layout, Tokens, places, seen, sees

Way = Literal["dense", "flex", "chunks", "products"]


def masked(layout: Layout, way: Way, device: torch.device) -> History:
    """Return what attends as ``layout`` allows.

    Raises BadInput for flexible attention with gradients on a CPU, which torch cannot compute.
    """
    if way == "dense":
        return Dense(seen(layout).to(device))
    if way == "products":
        return Products(_bias(layout).to(device))
    if way == "flex":
        if device.type == "cpu" and torch.is_grad_enabled():
            raise BadInput("attention flex cannot be trained on a CPU; choose dense or chunks")
        return Flex(_block_mask(layout, device), device)
    return Chunks(pieces(layout), device)


class Dense:
    """Computes every pair, and leaves out what the mask (N, N) does not allow."""

    def __init__(self, mask: Tensor) -> None:
        self._mask = mask

    def attend(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        held, found = (x.to(values.dtype).transpose(1, 2) for x in (keys, values))
        return attended(queries.to(values.dtype), held, found, self._mask)


class Products:
    """Computes every pair as two products with a softmax between, which on a CPU is the faster one in bfloat16, above
    all backwards. ``bias`` (N, N) is added to the scores: 0, or -inf where the mask does not allow it."""

    def __init__(self, bias: Tensor) -> None:
        self._bias = bias

    def attend(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        held, found = (x.to(values.dtype).transpose(1, 2) for x in (keys, values))
        return multiplied(queries.to(values.dtype), held, found, self._bias)


def multiplied(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Attend as :func:`attended` does, by products; scores are scaled and normalised in float32."""
    scores = (queries.transpose(1, 2) @ keys.transpose(-1, -2)).float() * queries.shape[-1] ** -0.5
    found: Tensor = (scores + bias.float()).softmax(-1).to(values.dtype) @ values
    return found.transpose(1, 2)


@functools.lru_cache(maxsize=16)
def _bias(layout: Layout) -> Tensor:
    """Return (N, N) float32: 0 where the token of a row sees that of a column, else -inf."""
    return torch.zeros(len(layout), len(layout)).masked_fill(~seen(layout), -torch.inf)


class Flex:
    """Leaves the choice of pairs to a kernel that is compiled for the mask; on a CPU it computes all of them."""

    def __init__(self, mask: BlockMask, device: torch.device) -> None:
        self._mask = mask
        self._attention: Any = _compiled() if device.type == "cuda" else flex_attention

    def attend(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        asked, held, found = (x.to(values.dtype).transpose(1, 2) for x in (queries, keys, values))
        out: Tensor = self._attention(asked, held, found, block_mask=self._mask)
        return out.transpose(1, 2)


@functools.cache
def _compiled() -> Callable[..., Any]:
    return torch.compile(flex_attention, dynamic=True)


def _block_mask(layout: Layout, device: torch.device) -> BlockMask:
    tokens = places(layout)
    place, copy = tokens.place.to(device), tokens.copy.to(device)

    def allowed(batch: Tensor, head: Tensor, asking: Tensor, asked: Tensor) -> Tensor:
        return sees(Tokens(place[asking], copy[asking]), Tokens(place[asked], copy[asked]), layout.window)

    return create_block_mask(allowed, None, None, len(layout), len(layout), device=str(device))


@dataclass(frozen=True)
class Piece:
    """Some tokens, and all that any of them sees; each as stretches of the sequence."""

    asking: tuple[slice, ...]
    asked: tuple[slice, ...]
    mask: Tensor | None
    """(asking, asked) bool; None: every one sees all of it."""


class Chunks:
    """Computes for each chunk only the pairs with what it sees."""

    def __init__(self, pieces: Sequence[Piece], device: torch.device) -> None:
        self._pieces = [piece if piece.mask is None else replace(piece, mask=piece.mask.to(device)) for piece in pieces]

    def attend(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        asked, held, found = (x.to(values.dtype).transpose(1, 2) for x in (queries, keys, values))
        out: Tensor = _InPieces.apply(asked, held, found, self._pieces)  # type: ignore[no-untyped-call]
        return out.transpose(1, 2)


class _InPieces(torch.autograd.Function):
    """Attends piece by piece, (b, heads, N, head_dim) each. Backwards, each piece is computed again, so that nothing is
    kept of it and gradients are added where they belong."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor, pieces: Sequence[Piece]) -> Tensor:
        ctx.save_for_backward(queries, keys, values)
        ctx.pieces = pieces
        out = torch.empty_like(queries)
        for piece in pieces:
            held, values_held = _taken(keys, piece.asked), _taken(values, piece.asked)
            _put(out, piece.asking, _found(_taken(queries, piece.asking), held, values_held, piece.mask))
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        queries, keys, values = ctx.saved_tensors
        gradients = torch.empty_like(queries), torch.zeros_like(keys), torch.zeros_like(values)
        for piece in ctx.pieces:
            own = [_taken(queries, piece.asking), *(_taken(x, piece.asked) for x in (keys, values))]
            with torch.enable_grad():
                own = [x.detach().requires_grad_() for x in own]
                found = _found(own[0], own[1], own[2], piece.mask)
            one, *two = torch.autograd.grad(found, own, _taken(gradient, piece.asking))
            _put(gradients[0], piece.asking, one)
            for whole, part in zip(gradients[1:], two, strict=True):
                _add(whole, piece.asked, part)
        return *gradients, None


def _found(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)


def _taken(x: Tensor, stretches: tuple[slice, ...]) -> Tensor:
    """Return the tokens of ``stretches``, of (b, heads, N, head_dim)."""
    if len(stretches) == 1:
        return x[:, :, stretches[0]]
    return torch.cat([x[:, :, stretch] for stretch in stretches], dim=2)


def _put(x: Tensor, stretches: tuple[slice, ...], part: Tensor) -> None:
    for stretch, own in zip(stretches, _apart(part, stretches), strict=True):
        x[:, :, stretch] = own


def _add(x: Tensor, stretches: tuple[slice, ...], part: Tensor) -> None:
    for stretch, own in zip(stretches, _apart(part, stretches), strict=True):
        x[:, :, stretch] += own


def _apart(part: Tensor, stretches: tuple[slice, ...]) -> list[Tensor]:
    return list(part.split([stretch.stop - stretch.start for stretch in stretches], dim=2))  # type: ignore[no-untyped-call]


@functools.lru_cache(maxsize=16)
def pieces(layout: Layout) -> list[Piece]:
    """Return a piece for each place of what is noisy (all copies of it) and of what is clean."""
    tokens, allowed = places(layout), seen(layout)
    found = []
    for clean in (False, True):
        for place in torch.unique(tokens.place).tolist():
            asking = (tokens.place == place) & ((tokens.copy == CLEAN) == clean)
            if not asking.any():
                continue
            asked = allowed[asking].any(dim=0)
            mask = allowed[asking][:, asked]
            found.append(Piece(_stretches(asking), _stretches(asked), None if mask.all() else mask))
    return found


def _stretches(tokens: Tensor) -> tuple[slice, ...]:
    """Return the stretches of true in (N,) bool."""
    edge = torch.zeros(1, dtype=torch.int)
    edges = torch.diff(tokens.int(), prepend=edge, append=edge)
    starts, ends = torch.nonzero(edges > 0)[:, 0].tolist(), torch.nonzero(edges < 0)[:, 0].tolist()
    return tuple(slice(start, end) for start, end in zip(starts, ends, strict=True))
