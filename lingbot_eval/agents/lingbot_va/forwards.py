"""Sessions use the transformer so: one forward serves several at once, and what inference needs again is computed once.

There are two ways. ``Exact`` keeps the original's shapes and order of operations: all 512 text positions, a noise level
for every token, turns in float64, products rounded before they are added, one session at a time. ``Fast`` computes what
is equal once, and the same as ``Exact`` within rounding. Both hold what they computed; the modules hold nothing of it,
so whoever changes the weights makes another of these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lingbot_eval.models.lingbot_va.attention import Prompt
from lingbot_eval.models.lingbot_va.key_value_cache import KeyValueCache, SlottedCache
from lingbot_eval.models.lingbot_va.padding import MAX_TOKENS, padded_once
from lingbot_eval.models.lingbot_va.transformer import (
    Arithmetic,
    Attention,
    Stream,
    Times,
    VideoActionTransformer,
    rotary,
    rotated,
)


@dataclass(frozen=True)
class Part:
    """This is one session's share of a forward: ``tokens`` (b, L, in), ``rotation`` (L, 1, head_dim / 2) complex."""

    tokens: Tensor
    times: Times
    rotation: Tensor
    prompt: Prompt
    cache: KeyValueCache

    @property
    def rows(self) -> int:
        return len(self.tokens)


class Forwards(ABC):
    """Makes the forwards of one transformer, whose weights stay as they are."""

    cache: type[KeyValueCache]
    """The history lies in a cache of this type."""
    together: bool
    """A forward may be for several sessions."""

    def __init__(self, transformer: VideoActionTransformer, arithmetic: Arithmetic) -> None:
        self.transformer, self.arithmetic = transformer, arithmetic

    @torch.no_grad()
    def __call__(self, parts: Sequence[Part], stream: Stream, *, head: bool) -> list[Tensor] | None:
        """Make one forward of every part, (b, L, in) -> (b, L, out); own keys and values lie in each part's cache, to
        be committed or not. All parts have the same L and n; their rows, histories, times and prompts are their own.

        head=False: only keys and values are wanted, and nothing is computed behind the last ones.
        """
        tokens = joined([part.tokens for part in parts])
        times = Times(
            joined([part.times.embedded for part in parts], [part.rows for part in parts]),
            joined([part.times.modulation for part in parts], [part.rows for part in parts]),
        )
        first, rotation = parts[0], parts[0].rotation
        if len(parts) > 1:
            rotation = torch.cat([part.rotation.expand(part.rows, -1, -1, -1) for part in parts])
        caches, texts = (first.cache, first.prompt) if len(parts) == 1 else (_Caches(parts), _Texts(parts))
        if not head:
            self.transformer.write(stream, tokens, times, rotation, caches, texts, self.arithmetic)
            return None
        out: Tensor = self.transformer(stream, tokens, times, rotation, caches, texts, self.arithmetic)
        return split_rows(out, parts)

    @abstractmethod
    def prompt(self, embeddings: Sequence[Tensor]) -> Prompt:
        """Make a prompt of ``embeddings``, (n, text_dim) of each batch row's real tokens."""

    @abstractmethod
    def times(self, stream: Stream, per_frame: Sequence[float], tokens_per_frame: int, rows: int) -> Times:
        """Embed the noise level of each frame, 0..1000."""

    @abstractmethod
    def rotation(self, grid: Tensor) -> Tensor:
        """Return the rotary turns of tokens at ``grid`` (3, L)."""

    def _rotary(self, grid: Tensor) -> Tensor:
        return rotary(grid, self.transformer.shape.attention_head_dim)

    @property
    def _device(self) -> torch.device:
        return self.transformer.proj_out.weight.device


class Exact(Forwards):
    """Computes as the original does."""

    cache, together = SlottedCache, False

    def __init__(self, transformer: VideoActionTransformer) -> None:
        super().__init__(transformer, RoundedTwice())

    @torch.no_grad()
    def prompt(self, embeddings: Sequence[Tensor]) -> Prompt:
        first = embeddings[0]
        padded = first.new_zeros(len(embeddings), MAX_TOKENS, first.shape[-1])
        for row, embedding in enumerate(embeddings):
            padded[row, : len(embedding)] = embedding
        return self.transformer.prompt(padded)

    @torch.no_grad()
    def times(self, stream: Stream, per_frame: Sequence[float], tokens_per_frame: int, rows: int) -> Times:
        levels = torch.tensor(per_frame, device=self._device).repeat_interleave(tokens_per_frame)
        return self.transformer.times(stream, levels.expand(rows, -1))

    def rotation(self, grid: Tensor) -> Tensor:
        return self._rotary(grid).to(self._device, torch.complex128)


class Fast(Forwards):
    """Embeds every noise level once, makes one key of the text behind the real tokens, and one product of queries, keys
    and values."""

    cache, together = KeyValueCache, True

    def __init__(self, transformer: VideoActionTransformer) -> None:
        super().__init__(transformer, Fused(transformer))
        self._times: dict[tuple[Stream, float], Times] = {}

    @torch.no_grad()
    def prompt(self, embeddings: Sequence[Tensor]) -> Prompt:
        """Text is attended without a mask, so the zeros behind the real tokens count: 512 - n equal keys. Here they are
        one key whose score is raised by ln(512 - n)."""
        return self.transformer.prompt(*padded_once(embeddings))

    @torch.no_grad()
    def times(self, stream: Stream, per_frame: Sequence[float], tokens_per_frame: int, rows: int) -> Times:
        for level in per_frame:
            if (stream, level) not in self._times:
                levels = torch.tensor([[level]], device=self._device)
                self._times[stream, level] = self.transformer.times(stream, levels)
        known = [self._times[stream, level] for level in per_frame]
        return Times(torch.cat([t.embedded for t in known], 1), torch.cat([t.modulation for t in known], 1))

    def rotation(self, grid: Tensor) -> Tensor:
        return self._rotary(grid).to(self._device)


class RoundedTwice(Arithmetic):
    def add_product(self, base: Tensor, one: Tensor, other: Tensor) -> Tensor:
        """Round the product before it is added; torch.addcmul rounds once."""
        return base + one * other


class Fused(Arithmetic):
    """Computes queries, keys and values by one product and one norm."""

    def __init__(self, transformer: VideoActionTransformer) -> None:
        self._weights = [_fused(block.attn1) for _, block in transformer.layers()]

    def project(self, layer: int, attention: Attention, x: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, bias, norms = self._weights[layer]
        both, values = F.linear(x, weight, bias).view(*x.shape[:2], 3, -1).split((2, 1), dim=2)  # type: ignore[no-untyped-call]
        both = F.rms_norm(both, norms.shape[-1:], eps=attention.norm_k.eps) * norms
        turned = rotated(both.view(*x.shape[:2], 2 * attention.heads, -1), rotation)
        queries, keys = turned.chunk(2, dim=2)
        return queries, keys, attention.split(values.squeeze(2))


def _fused(attention: Attention) -> tuple[Tensor, Tensor, Tensor]:
    """Return weight and bias of the product, and the norms (2, D)."""
    linears = (attention.to_q, attention.to_k, attention.to_v)
    weight = stacked([linear.weight.detach() for linear in linears])
    bias = torch.cat([linear.bias.detach() for linear in linears])
    return weight, bias, torch.stack([norm.weight.detach() for norm in (attention.norm_q, attention.norm_k)])


def stacked(parts: Sequence[Tensor]) -> Tensor:
    """Lay matrices below one another: as a view where they are neighbours in memory (``loading.room``), else as a
    copy."""
    first, end = parts[0], parts[0].storage_offset()
    for part in parts:
        beside = part.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        if not (beside and part.storage_offset() == end and part.is_contiguous()):
            return torch.cat(list(parts))
        end += part.numel()
    return first.as_strided((sum(len(part) for part in parts), first.shape[1]), first.stride())


class _Caches:
    """Holds the histories of several sessions, in the order of a batch's rows."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    def attend(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        asked = zip(self._parts, *(split_rows(x, self._parts) for x in (queries, keys, values)), strict=True)
        return torch.cat([part.cache.attend(layer, *own) for part, *own in asked])

    def write(self, layer: int, keys: Tensor, values: Tensor) -> None:
        for part, *own in zip(self._parts, *(split_rows(x, self._parts) for x in (keys, values)), strict=True):
            part.cache.write(layer, *own)


class _Texts:
    """Holds the prompts of several sessions."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    def attend(self, layer: int, queries: Tensor) -> Tensor:
        asked = zip(self._parts, split_rows(queries, self._parts), strict=True)
        return torch.cat([part.prompt.attend(layer, own) for part, own in asked])


def joined(parts: Sequence[Tensor], rows: Sequence[int] | None = None) -> Tensor:
    """Join along the batch; an only one stays what it is. rows: repeat each (1, ...) so often first."""
    if len(parts) == 1:
        return parts[0]
    if rows is not None:
        parts = [part.expand(count, *part.shape[1:]) for part, count in zip(parts, rows, strict=True)]
    return torch.cat(list(parts))


def split_rows(x: Tensor, parts: Sequence[Part]) -> list[Tensor]:
    """Return what of a batch is each part's."""
    return [x] if len(parts) == 1 else list(x.split([part.rows for part in parts]))  # type: ignore[no-untyped-call]
