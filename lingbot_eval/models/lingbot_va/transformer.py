"""The video-action transformer: one forward of one stream, video or action, over the keys that the pool holds.

Parameter names are those of the checkpoint. b: batch rows (prompt, negative prompt); L: tokens; D: model width; n: runs
of tokens that share a time (frames; in exact mode tokens).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.key_value_cache import Pool
from lingbot_eval.models.lingbot_va.reading import short
from lingbot_eval.models.lingbot_va.text import MAX_TOKENS
from lingbot_eval.settings import as_struct
from lingbot_eval.settings.lingbot_va import Size

Stream = Literal["video", "action"]
PATCH = 2
"""Latent rows and columns per video token."""

AddProduct = Callable[[Tensor, Tensor, Tensor], Tensor]
"""base, one, other -> base + one * other"""


@dataclass(frozen=True)
class Shape:
    """Sizes, as in the transformer's ``config.json``."""

    num_attention_heads: Size
    attention_head_dim: Size
    num_layers: Size
    ffn_dim: Size
    text_dim: Size
    freq_dim: Size
    action_dim: Size
    in_channels: Size
    out_channels: Size
    eps: Annotated[float, msgspec.Meta(ge=0, lt=1)]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Shape:
        """``attn_mode`` is ignored: how attention is computed is not a property of weights.

        Raises BadInput for a configuration that means another model.
        """
        missing = [name for name in cls.__annotations__ if name not in config]
        if missing:
            raise BadInput(f"the transformer's config.json lacks {', '.join(missing)}")
        if config.get("patch_size") != [1, PATCH, PATCH]:
            raise BadInput(f"patch_size {short(config.get('patch_size'))} (valid: [1, 2, 2])")
        if config.get("cross_attn_norm") is not True:
            raise BadInput(f"cross_attn_norm {short(config.get('cross_attn_norm'))} (valid: true)")
        shape: Shape = as_struct({name: config[name] for name in cls.__annotations__}, cls)
        if shape.attention_head_dim % 2 or shape.attention_head_dim // 3 % 2:
            raise BadInput(f"attention_head_dim {shape.attention_head_dim} does not divide into rotated pairs")
        return shape

    @property
    def width(self) -> int:
        return self.num_attention_heads * self.attention_head_dim


@dataclass(frozen=True)
class Times:
    """What the noise level of each token does to it. ``embedded`` (b, n, 1, D), model's dtype; ``modulation``
    (b, n, 6, D) float32."""

    embedded: Tensor
    modulation: Tensor


@dataclass(frozen=True)
class Prompt:
    """What an episode's texts are in each layer: keys and values (b, heads, keys, head_dim), and what is added to every
    key's score, (b, 1, 1, keys) or None for nothing."""

    layers: Sequence[tuple[Tensor, Tensor]]
    bias: Tensor | None

    def first(self, rows: int) -> Prompt:
        if rows == len(self.layers[0][0]):
            return self
        bias = None if self.bias is None else self.bias[:rows]
        return Prompt([(keys[:rows], values[:rows]) for keys, values in self.layers], bias)


@dataclass(frozen=True)
class Part:
    """One session's share of a forward. ``tokens`` (b, L, in); ``rotation`` (L, 1, head_dim / 2) complex."""

    tokens: Tensor
    times: Times
    rotation: Tensor
    prompt: Prompt
    pool: Pool

    @property
    def rows(self) -> int:
        return len(self.tokens)


class TwoLinears(nn.Module):
    def __init__(self, inner: int, width: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(inner, width), nn.Linear(width, width)


class Conditioner(nn.Module):
    """Time, and for the video stream's instance (which both streams use) text."""

    def __init__(self, shape: Shape, *, text: bool) -> None:
        super().__init__()
        self._freq_dim = shape.freq_dim
        self.time_embedder = TwoLinears(shape.freq_dim, shape.width)
        self.time_proj = nn.Linear(shape.width, 6 * shape.width)
        if text:
            self.text_embedder = TwoLinears(shape.text_dim, shape.width)

    def times(self, times: Tensor) -> Times:
        """``times`` (b, n) float32, 0 (clean) .. 1000 (noise)."""
        half = self._freq_dim // 2
        steps = torch.arange(half, dtype=torch.float32, device=times.device)
        angles = times.float()[..., None] * torch.exp(-math.log(10_000) * steps / half)
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1).to(self.time_proj.weight.dtype)
        embedded = self.time_embedder.linear_2(F.silu(self.time_embedder.linear_1(waves)))
        modulation = self.time_proj(F.silu(embedded)).view(*times.shape, 6, -1).float()
        return Times(embedded.unsqueeze(-2), modulation)

    def text(self, embedding: Tensor) -> Tensor:
        """(b, n, text_dim) -> (b, n, D)."""
        hidden = F.gelu(self.text_embedder.linear_1(embedding), approximate="tanh")
        out: Tensor = self.text_embedder.linear_2(hidden)
        return out


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, self.heads = shape.width, shape.num_attention_heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.norm_q, self.norm_k = (nn.RMSNorm(width, eps=shape.eps) for _ in range(2))
        self._fused: tuple[Tensor, Tensor, Tensor] | None = None

    def fuse(self) -> None:
        """Queries, keys and values by one product and one norm from now on; the single weights become views."""
        parts = (self.to_q, self.to_k, self.to_v)
        weight = torch.cat([part.weight.data for part in parts])
        for part, own in zip(parts, weight.chunk(3), strict=True):
            part.weight.data = own
        bias = torch.cat([part.bias.data for part in parts])
        self._fused = weight, bias, torch.stack([self.norm_q.weight.data, self.norm_k.weight.data])

    def project(self, x: Tensor, rotation: Tensor, *, keys_only: bool) -> tuple[Tensor | None, Tensor, Tensor]:
        """(b, L, D) -> queries (None if keys_only), keys and values (b, L, heads, head_dim), rotated and normed."""
        if keys_only or self._fused is None:
            keys, values = rotated(self.split(self.norm_k(self.to_k(x))), rotation), self.split(self.to_v(x))
            queries = None if keys_only else rotated(self.split(self.norm_q(self.to_q(x))), rotation)
            return queries, keys, values
        weight, bias, norms = self._fused
        both, values = F.linear(x, weight, bias).view(*x.shape[:2], 3, -1).split((2, 1), dim=2)  # type: ignore[no-untyped-call]
        both = F.rms_norm(both, norms.shape[-1:], eps=self.norm_k.eps) * norms
        turned = rotated(both.view(*x.shape[:2], 2 * self.heads, -1), rotation)
        first, second = turned.chunk(2, dim=2)
        return first, second, self.split(values.squeeze(2))

    def split(self, x: Tensor) -> Tensor:
        """(b, L, D) -> (b, L, heads, head_dim)."""
        return x.view(*x.shape[:2], self.heads, -1)

    def project_out(self, attended: Sequence[Tensor]) -> Tensor:
        """(b, L, heads, head_dim) of each part -> (b of all, L, D)."""
        projected: Tensor = self.to_out[0](joined([part.flatten(2) for part in attended]))
        return projected


class Projection(nn.Module):
    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inner, outer)


class FeedForward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        linears = (Projection(shape.width, shape.ffn_dim), nn.Identity(), nn.Linear(shape.ffn_dim, shape.width))
        self.net = nn.ModuleList(linears)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net[2](F.gelu(self.net[0].proj(x), approximate="tanh"))  # type: ignore[operator]
        return out


class Block(nn.Module):
    """Attention over the episode, attention over the text, feed-forward."""

    def __init__(self, shape: Shape, add_product: AddProduct) -> None:
        super().__init__()
        width = shape.width
        self._eps, self.add_product = shape.eps, add_product
        self.attn1, self.attn2 = Attention(shape), Attention(shape)
        self.norm2 = nn.LayerNorm(width, eps=shape.eps)
        self.ffn = FeedForward(shape)
        self.scale_shift_table = nn.Parameter(torch.empty(1, 6, width))

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        rotation: Tensor,
        parts: Sequence[Part],
        layer: int,
        *,
        keys_only: bool,
    ) -> Tensor:
        """``x`` (b, L, D), ``modulation`` (b or 1, n, 6, D) and ``rotation`` of all ``parts``; everything but attention
        is one product for all of them, attention is each part's own: over its pool, over its prompt.

        keys_only: stop when keys and values are in the pools; ``x`` comes back as it was.
        """
        levels = (self.scale_shift_table + modulation).unsqueeze(-2).unbind(2)  # six of (b, n, 1, D)
        rows = [part.rows for part in parts]
        attn, normed = self.attn1, modulated(x, levels[0], levels[1], self._eps, self.add_product)
        queries, keys, values = attn.project(normed, rotation, keys_only=keys_only)
        written = zip(parts, split_rows(keys, rows), split_rows(values, rows), strict=True)
        history = [part.pool.write(layer, *own) for part, *own in written]
        if queries is None:
            return x
        asked = zip(split_rows(queries, rows), history, strict=True)
        found = [attended(own, keys.transpose(1, 2), values.transpose(1, 2)) for own, (keys, values) in asked]
        x = gated(x, attn.project_out(found), levels[2], self.add_product)
        attn, norm = self.attn2, self.norm2
        normed = F.layer_norm(x.float(), x.shape[-1:], norm.weight.float(), norm.bias.float(), self._eps).to(x.dtype)
        queries = attn.split(attn.norm_q(attn.to_q(normed)))
        texts = zip(split_rows(queries, rows), (part.prompt for part in parts), strict=True)
        x = x + attn.project_out([attended(own, *prompt.layers[layer], prompt.bias) for own, prompt in texts])
        normed = modulated(x, levels[3], levels[4], self._eps, self.add_product)
        return gated(x, self.ffn(normed), levels[5], self.add_product)

    def text(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """(b, keys, D) -> keys and values (b, heads, keys, head_dim) of the cross-attention."""
        attn = self.attn2
        keys, values = attn.split(attn.norm_k(attn.to_k(context))), attn.split(attn.to_v(context))
        return keys.transpose(1, 2).contiguous(), values.transpose(1, 2).contiguous()


class VideoActionTransformer(nn.Module):
    """All blocks are shared by the two streams; embedders, time and heads are each stream's own.

    exact: keep the original's shapes and order of operations (all 512 text positions, times per token, float64
    rotation, products rounded before they are added) instead of computing what is equal once.
    """

    def __init__(self, shape: Shape, *, exact: bool = False) -> None:
        super().__init__()
        self.shape, self.exact = shape, exact
        width, patch = shape.width, PATCH * PATCH
        self.patch_embedding_mlp = nn.Linear(shape.in_channels * patch, width)
        self.action_embedder = nn.Linear(shape.action_dim, width)
        self.condition_embedder = Conditioner(shape, text=True)
        self.condition_embedder_action = Conditioner(shape, text=False)
        self.add_product: AddProduct = _rounded_twice if exact else torch.addcmul
        self.blocks = nn.ModuleList(Block(shape, self.add_product) for _ in range(shape.num_layers))
        self.scale_shift_table = nn.Parameter(torch.empty(1, 2, width))
        self.proj_out = nn.Linear(width, shape.out_channels * patch)
        self.action_proj_out = nn.Linear(width, shape.action_dim)
        self._times: dict[tuple[Stream, float], Times] = {}

    def fuse(self) -> None:
        """To be called when the weights are there; exact mode keeps the original's products."""
        if not self.exact:
            for block in self.blocks:
                block.attn1.fuse()  # type: ignore[operator, union-attr]

    def forward(self, parts: Sequence[Part], stream: Stream, *, head: bool) -> list[Tensor] | None:
        """One forward of every part, (b, L, in) -> (b, L, out); own keys and values lie in each part's pool, to be
        committed or not. All parts have the same L and n; their rows, histories, times and prompts are their own.

        head=False: only keys and values are wanted, and nothing is computed behind the last ones.
        """
        video = stream == "video"
        x = (self.patch_embedding_mlp if video else self.action_embedder)(joined([part.tokens for part in parts]))
        modulation = joined([part.times.modulation for part in parts], [part.rows for part in parts])
        rotation = parts[0].rotation
        if len(parts) > 1:
            rotation = torch.cat([part.rotation.expand(part.rows, -1, -1, -1) for part in parts])
        for layer, block in enumerate(self.blocks):
            last = layer == len(self.blocks) - 1
            x = block(x, modulation, rotation, parts, layer, keys_only=last and not head)
        if not head:
            return None
        embedded = joined([part.times.embedded for part in parts], [part.rows for part in parts])
        shift, scale = (self.scale_shift_table + embedded).unsqueeze(-2).unbind(2)
        normed = modulated(x, shift, scale, self.shape.eps, self.add_product)
        return split_rows((self.proj_out if video else self.action_proj_out)(normed), [part.rows for part in parts])

    def prompt(self, embeddings: Sequence[Tensor]) -> Prompt:
        """``embeddings``: (n, text_dim) of each batch row's real tokens.

        Text is attended without a mask, so the zeros behind the real tokens count: 512 - n equal keys. Here they are
        one key whose score is raised by ln(512 - n).
        """
        first = embeddings[0]
        if self.exact:
            padded = first.new_zeros(len(embeddings), MAX_TOKENS, first.shape[-1])
            biases = None
        else:
            longest = max(len(embedding) for embedding in embeddings)
            extra = [folded(MAX_TOKENS - len(embedding), first.dtype) for embedding in embeddings]
            length = longest + max(len(scores) for scores in extra)
            padded = first.new_zeros(len(embeddings), length, first.shape[-1])
            biases = torch.full((len(embeddings), 1, 1, length), -math.inf)
            for row, (embedding, scores) in enumerate(zip(embeddings, extra, strict=True)):
                n = len(embedding)
                biases[row, ..., :n] = 0
                biases[row, ..., n : n + len(scores)] = torch.tensor(scores)
            biases = biases.to(first.device, first.dtype)
        for row, embedding in enumerate(embeddings):
            padded[row, : len(embedding)] = embedding
        context = self.condition_embedder.text(padded)
        return Prompt([block.text(context) for block in self.blocks], biases)  # type: ignore[operator]

    def times(self, stream: Stream, per_frame: Sequence[float], tokens_per_frame: int, rows: int) -> Times:
        """Noise level of each frame, 0..1000. Every level is computed once per model and stream; exact: per token."""
        conditioner = self.condition_embedder if stream == "video" else self.condition_embedder_action
        device = self.proj_out.weight.device
        if self.exact:
            levels = torch.tensor(per_frame, device=device).repeat_interleave(tokens_per_frame).expand(rows, -1)
            return conditioner.times(levels)
        for level in per_frame:
            if (stream, level) not in self._times:
                self._times[stream, level] = conditioner.times(torch.tensor([[level]], device=device))
        known = [self._times[stream, level] for level in per_frame]
        return Times(torch.cat([t.embedded for t in known], 1), torch.cat([t.modulation for t in known], 1))

    def rotation(self, grid: Tensor) -> Tensor:
        """Rotary angles of tokens at ``grid`` (3, L): frame, row, column -> (L, 1, head_dim / 2) complex.

        Angles in float64, then cosine and sine in float32, as in training; complex64, or complex128 in exact mode.
        """
        head_dim = self.shape.attention_head_dim
        third = head_dim // 3
        parts = []
        for positions, dim in zip(grid, (head_dim - 2 * third, third, third), strict=True):
            frequencies = 1 / 10_000.0 ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
            parts.append(positions.double()[:, None] * frequencies)
        angles = torch.cat(parts, dim=-1).float()
        table = torch.polar(torch.ones_like(angles), angles)[:, None]
        return table.to(self.proj_out.weight.device, torch.complex128 if self.exact else torch.complex64)


def joined(parts: Sequence[Tensor], rows: Sequence[int] | None = None) -> Tensor:
    """One after another along the batch; the only one stays what it is. rows: repeat each (1, ...) so often first."""
    if len(parts) == 1:
        return parts[0]
    if rows is not None:
        parts = [part.expand(count, *part.shape[1:]) for part, count in zip(parts, rows, strict=True)]
    return torch.cat(list(parts))


def split_rows(x: Tensor, rows: Sequence[int]) -> list[Tensor]:
    return [x] if len(rows) == 1 else list(x.split(list(rows)))  # type: ignore[no-untyped-call]


def attended(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """Queries (b, L, heads, head_dim), keys and values (b, heads, tokens, head_dim) -> (b, L, heads, head_dim)."""
    return F.scaled_dot_product_attention(queries.transpose(1, 2), keys, values, attn_mask=bias).transpose(1, 2)


def modulated(x: Tensor, shift: Tensor, scale: Tensor, eps: float, add_product: AddProduct) -> Tensor:
    """Layer norm of ``x`` (b, L, D) in float32, scaled and shifted by (b, n, 1, D)."""
    normed = F.layer_norm(x.float(), x.shape[-1:], eps=eps).view(len(x), shift.shape[1], -1, x.shape[-1])
    return add_product(shift, normed, 1 + scale).view(x.shape).to(x.dtype)


def gated(x: Tensor, out: Tensor, gate: Tensor, add_product: AddProduct) -> Tensor:
    """x + out * gate in float32; ``gate`` (b, n, 1, D)."""
    runs = (len(x), gate.shape[1], -1, x.shape[-1])
    return add_product(x.float().view(runs), out.float().view(runs), gate).view(x.shape).to(x.dtype)


def _rounded_twice(base: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """What torch.addcmul computes with a single rounding."""
    return base + one * other


def rotated(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn each pair of neighbours in (b, L, heads, head_dim)."""
    precision = torch.float64 if rotation.dtype == torch.complex128 else torch.float32
    pairs = torch.view_as_complex(x.to(precision).view(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation).flatten(-2).to(x.dtype)


def folded(count: int, dtype: torch.dtype) -> list[float]:
    """Scores s with sum(exp(s)) = count, each exact in ``dtype``: one in float32, a few in bfloat16, where ln(count)
    alone would be off by up to 1.6 %."""
    scores: list[float] = []
    rest = float(count)
    while rest > 1e-5 * count:
        score = torch.tensor(math.log(rest)).to(dtype)
        if score.double().exp().item() > rest * (1 + 1e-6):
            score = torch.nextafter(score, torch.tensor(-math.inf, dtype=dtype))
        scores.append(score.item())
        rest -= math.exp(scores[-1])
    return scores


def video_tokens(latents: Tensor) -> Tensor:
    """(b, C, F, h, w) -> (b, F h/2 w/2, C 2 2): tokens by frame, row, column; channel slowest within one."""
    batch, channels, frames, height, width = latents.shape
    split = latents.view(batch, channels, frames, height // PATCH, PATCH, width // PATCH, PATCH)
    return split.permute(0, 2, 3, 5, 1, 4, 6).reshape(batch, -1, channels * PATCH * PATCH)


def video_latents(tokens: Tensor, frames: int, height: int, width: int) -> Tensor:
    """(b, F h/2 w/2, 2 2 C) -> (b, C, F, h, w): on the way out the channel is fastest."""
    split = tokens.view(len(tokens), frames, height // PATCH, width // PATCH, PATCH, PATCH, -1)
    return split.permute(0, 6, 1, 2, 4, 3, 5).reshape(len(tokens), -1, frames, height, width)


def video_grid(start: int, frames: int, height: int, width: int) -> Tensor:
    """(3, L) float32: frame, row and column of every token; absolute frames, never re-based."""
    sizes = (torch.arange(start, start + frames), torch.arange(height // PATCH), torch.arange(width // PATCH))
    return torch.stack([axis.flatten() for axis in torch.meshgrid(*sizes, indexing="ij")]).float()


def action_grid(start: int, frames: int, per_frame: int) -> Tensor:
    """(3, L) float32: commands lie between their frame and the next, at row and column -1."""
    within = (torch.arange(per_frame, dtype=torch.float32) + 1) / (per_frame + 1)
    times = (torch.arange(start, start + frames, dtype=torch.float32)[:, None] + within).flatten()
    return torch.stack([times, torch.full_like(times, -1), torch.full_like(times, -1)])
