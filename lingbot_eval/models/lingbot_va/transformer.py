"""The video-action transformer is made of plain modules that can be called and trained, with the checkpoint's parameter
names.

A forward takes tokens of one stream (video or action), their noise levels and positions, and what they attend to
(``attention.py``). It keeps nothing and changes no parameter; what is computed once for many forwards is kept by who
calls. b: batch rows; L: tokens; D: model width; n: runs of tokens that share a time (frames, or single tokens).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import msgspec
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.attention import History, Prompt, Store, Text
from lingbot_eval.models.lingbot_va.reading import short
from lingbot_eval.settings import as_struct
from lingbot_eval.settings.lingbot_va import Size

Stream = Literal["video", "action"]
PATCH = 2
"""A video token covers so many latent rows and columns."""


@dataclass(frozen=True)
class Shape:
    """Holds the sizes, as in the transformer's ``config.json``."""

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
        """Read the sizes. ``attn_mode`` is ignored: how attention is computed is not a property of weights.

        Raises BadInput for a configuration that means another model.
        """
        missing = [name for name in cls.__annotations__ if name not in config]
        if missing:
            raise BadInput(f"the transformer's config.json lacks {', '.join(missing)}")
        if config.get("patch_size") != [1, PATCH, PATCH]:
            found = short(config.get("patch_size"))
            raise BadInput(
                f"the transformer's config.json says patch_size {found}; only [1, 2, 2] can be computed here"
            )
        if config.get("cross_attn_norm") is not True:
            found = short(config.get("cross_attn_norm"))
            raise BadInput(
                f"the transformer's config.json says cross_attn_norm {found}; only true can be computed here"
            )
        shape: Shape = as_struct({name: config[name] for name in cls.__annotations__}, cls)
        if shape.attention_head_dim % 2 or shape.attention_head_dim // 3 % 2:
            raise BadInput(
                f"attention_head_dim {shape.attention_head_dim} cannot be split into the pairs that the rotary "
                "embedding turns"
            )
        return shape

    @property
    def width(self) -> int:
        return self.num_attention_heads * self.attention_head_dim


@dataclass(frozen=True)
class Times:
    """Holds what the noise level of each token does to it: ``embedded`` (b, n, 1, D) in the model's dtype, and
    ``modulation`` (b, n, 6, D) in float32."""

    embedded: Tensor
    modulation: Tensor


class TwoLinears(nn.Module):
    def __init__(self, inner: int, width: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(inner, width), nn.Linear(width, width)


class Conditioner(nn.Module):
    """Embeds time, and in the video stream's instance (which both streams use) text."""

    def __init__(self, shape: Shape, *, text: bool) -> None:
        super().__init__()
        self._freq_dim = shape.freq_dim
        self.time_embedder = TwoLinears(shape.freq_dim, shape.width)
        self.time_proj = nn.Linear(shape.width, 6 * shape.width)
        if text:
            self.text_embedder = TwoLinears(shape.text_dim, shape.width)

    def times(self, times: Tensor) -> Times:
        """Embed ``times`` (b, n) float32, 0 (clean) .. 1000 (noise)."""
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
    """Projects for an attention; attending itself is done by what there is to attend to (``attention.py``)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, self.heads = shape.width, shape.num_attention_heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.norm_q, self.norm_k = (nn.RMSNorm(width, eps=shape.eps) for _ in range(2))

    def queries(self, x: Tensor) -> Tensor:
        """(b, L, D) -> (b, L, heads, head_dim)."""
        return self.split(self.norm_q(self.to_q(x)))

    def keys_and_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(b, L, D) -> (b, L, heads, head_dim) twice."""
        return self.split(self.norm_k(self.to_k(x))), self.split(self.to_v(x))

    def split(self, x: Tensor) -> Tensor:
        """(b, L, D) -> (b, L, heads, head_dim)."""
        return x.view(*x.shape[:2], self.heads, -1)

    def project_out(self, found: Tensor) -> Tensor:
        """(b, L, heads, head_dim) -> (b, L, D)."""
        projected: Tensor = self.to_out[0](found.flatten(2))
        return projected


class Arithmetic:
    """Says how a block computes what its weights say. Here it is done plainly; inference has ways of its own."""

    def add_product(self, base: Tensor, one: Tensor, other: Tensor) -> Tensor:
        """Return base + one * other."""
        return torch.addcmul(base, one, other)

    def scaled(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        """Return x * scale + shift; ``x`` is (b, L, D), and each of n runs of it has its own (b or 1, n, 1, D)."""
        return self.add_product(shift, _in_runs(x, shift), scale).view(x.shape)

    def added(self, x: Tensor, out: Tensor, gate: Tensor) -> Tensor:
        """Return x + out * gate, where ``gate`` is as in :meth:`scaled`."""
        return self.add_product(_in_runs(x, gate), _in_runs(out, gate), gate).view(x.shape)

    def project(self, layer: int, attention: Attention, x: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(b, L, D) -> queries, keys and values (b, L, heads, head_dim) of a layer's attention over the history."""
        keys, values = attention.keys_and_values(x)
        return rotated(attention.queries(x), rotation), rotated(keys, rotation), values


PLAIN = Arithmetic()


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
    """Attends to the history, then to the text, then feeds forward."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self._eps = shape.eps
        self.attn1, self.attn2 = Attention(shape), Attention(shape)
        self.norm2 = nn.LayerNorm(width, eps=shape.eps)
        self.ffn = FeedForward(shape)
        self.scale_shift_table = nn.Parameter(torch.empty(1, 6, width))

    def forward(
        self,
        layer: int,
        x: Tensor,
        modulation: Tensor,
        rotation: Tensor,
        history: History,
        text: Text,
        arithmetic: Arithmetic = PLAIN,
    ) -> Tensor:
        """Pass ``x`` (b, L, D) through this block, which is the ``layer``-th. ``modulation`` is (b or 1, n, 6, D);
        ``rotation`` is (L, 1, head_dim / 2), or one for each batch row."""
        levels = (self.scale_shift_table + modulation).unsqueeze(-2).unbind(2)  # six of (b, n, 1, D)
        attn, normed = self.attn1, modulated(x, levels[0], levels[1], self._eps, arithmetic)
        found = history.attend(layer, *arithmetic.project(layer, attn, normed, rotation))
        x = gated(x, attn.project_out(found), levels[2], arithmetic)
        attn, norm = self.attn2, self.norm2
        normed = F.layer_norm(x.float(), x.shape[-1:], norm.weight.float(), norm.bias.float(), self._eps).to(x.dtype)
        x = x + attn.project_out(text.attend(layer, attn.queries(normed)))
        normed = modulated(x, levels[3], levels[4], self._eps, arithmetic)
        return gated(x, self.ffn(normed), levels[5], arithmetic)

    def keys_and_values(
        self, x: Tensor, modulation: Tensor, rotation: Tensor, arithmetic: Arithmetic = PLAIN
    ) -> tuple[Tensor, Tensor]:
        """Return what a forward would say to its history, and compute nothing behind it."""
        levels = (self.scale_shift_table + modulation).unsqueeze(-2).unbind(2)
        keys, values = self.attn1.keys_and_values(modulated(x, levels[0], levels[1], self._eps, arithmetic))
        return rotated(keys, rotation), values

    def text(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """(b, keys, D) -> keys and values (b, heads, keys, head_dim) of the attention over the text."""
        keys, values = self.attn2.keys_and_values(context)
        return keys.transpose(1, 2).contiguous(), values.transpose(1, 2).contiguous()


class VideoActionTransformer(nn.Module):
    """All blocks are shared by the two streams; embedders, time and heads are each stream's own."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, patch = shape.width, PATCH * PATCH
        self.patch_embedding_mlp = nn.Linear(shape.in_channels * patch, width)
        self.action_embedder = nn.Linear(shape.action_dim, width)
        self.condition_embedder = Conditioner(shape, text=True)
        self.condition_embedder_action = Conditioner(shape, text=False)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.num_layers))
        self.scale_shift_table = nn.Parameter(torch.empty(1, 2, width))
        self.proj_out = nn.Linear(width, shape.out_channels * patch)
        self.action_proj_out = nn.Linear(width, shape.action_dim)

    def forward(
        self,
        stream: Stream,
        tokens: Tensor,
        times: Times,
        rotation: Tensor,
        history: History,
        text: Text,
        arithmetic: Arithmetic = PLAIN,
    ) -> Tensor:
        """Make a forward of ``tokens`` (b, L, in) -> (b, L, out); ``rotation`` is as in :meth:`Block.forward`."""
        x = self.embed(stream, tokens)
        for layer, block in self.layers():
            x = block(layer, x, times.modulation, rotation, history, text, arithmetic)
        return self.head(stream, x, times.embedded, arithmetic)

    def write(
        self,
        stream: Stream,
        tokens: Tensor,
        times: Times,
        rotation: Tensor,
        store: Store,
        text: Text,
        arithmetic: Arithmetic = PLAIN,
    ) -> None:
        """Give ``store`` what a forward would, and compute nothing behind the last layer's keys and values."""
        x = self.embed(stream, tokens)
        for layer, block in self.layers():
            if layer < self.shape.num_layers - 1:
                x = block(layer, x, times.modulation, rotation, store, text, arithmetic)
            else:
                store.write(layer, *block.keys_and_values(x, times.modulation, rotation, arithmetic))

    def layers(self) -> Iterator[tuple[int, Block]]:
        """Yield each block with its number."""
        yield from enumerate(cast(list[Block], self.blocks))

    def embed(self, stream: Stream, tokens: Tensor) -> Tensor:
        """(b, L, in) -> (b, L, D)."""
        x: Tensor = (self.patch_embedding_mlp if stream == "video" else self.action_embedder)(tokens)
        return x

    def head(self, stream: Stream, x: Tensor, embedded: Tensor, arithmetic: Arithmetic = PLAIN) -> Tensor:
        """(b, L, D) and the times' embedding (b or 1, n, 1, D) -> (b, L, out)."""
        shift, scale = (self.scale_shift_table + embedded).unsqueeze(-2).unbind(2)
        normed = modulated(x, shift, scale, self.shape.eps, arithmetic)
        out: Tensor = (self.proj_out if stream == "video" else self.action_proj_out)(normed)
        return out

    def times(self, stream: Stream, levels: Tensor) -> Times:
        """Embed ``levels`` (b, n) float32, 0 (clean) .. 1000 (noise)."""
        return (self.condition_embedder if stream == "video" else self.condition_embedder_action).times(levels)

    def prompt(self, embeddings: Tensor, bias: Tensor | None = None) -> Prompt:
        """Return keys and values of ``embeddings`` (b, n, text_dim) in every layer; ``bias`` is as in :class:`Prompt`.

        Training gave n = 512 positions, and no bias: those behind the text are zeros, and are attended to.
        """
        context = self.condition_embedder.text(embeddings)
        return Prompt([block.text(context) for _, block in self.layers()], bias)


def modulated(x: Tensor, shift: Tensor, scale: Tensor, eps: float, arithmetic: Arithmetic) -> Tensor:
    """Normalise ``x`` (b, L, D) in float32, then scale and shift it by (b, n, 1, D)."""
    return arithmetic.scaled(F.layer_norm(x.float(), x.shape[-1:], eps=eps), shift, 1 + scale).to(x.dtype)


def gated(x: Tensor, out: Tensor, gate: Tensor, arithmetic: Arithmetic) -> Tensor:
    """Return x + out * gate, computed in float32; ``gate`` (b, n, 1, D)."""
    return arithmetic.added(x.float(), out.float(), gate).to(x.dtype)


def _in_runs(x: Tensor, per_run: Tensor) -> Tensor:
    """(b, L, D) and (b, n, 1, D) -> (b, n, L / n, D)."""
    runs = per_run.shape[1]
    return x.view(len(x), runs, x.shape[1] // max(runs, 1), x.shape[-1])


def rotary(grid: Tensor, head_dim: int) -> Tensor:
    """Return the rotary turns of tokens at ``grid`` (3, L): frame, row, column -> (L, 1, head_dim / 2) complex64.

    Angles in float64, then cosine and sine in float32, as in training.
    """
    third = head_dim // 3
    parts = []
    for positions, dim in zip(grid, (head_dim - 2 * third, third, third), strict=True):
        frequencies = 1 / 10_000.0 ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        parts.append(positions.double()[:, None] * frequencies)
    angles = torch.cat(parts, dim=-1).float()
    return torch.polar(torch.ones_like(angles), angles)[:, None]


def rotated(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn each pair of neighbours in (b, L, heads, head_dim)."""
    precision = torch.float64 if rotation.dtype == torch.complex128 else torch.float32
    pairs = torch.view_as_complex(x.to(precision).view(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation).flatten(-2).to(x.dtype)


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
    """Return (3, L) float32: frame, row and column of every token. Frames are absolute, never counted anew."""
    sizes = (torch.arange(start, start + frames), torch.arange(height // PATCH), torch.arange(width // PATCH))
    return torch.stack([axis.flatten() for axis in torch.meshgrid(*sizes, indexing="ij")]).float()


def action_grid(start: int, frames: int, per_frame: int) -> Tensor:
    """Return (3, L) float32: commands lie between their frame and the next, at row and column -1."""
    within = (torch.arange(per_frame, dtype=torch.float32) + 1) / (per_frame + 1)
    times = (torch.arange(start, start + frames, dtype=torch.float32)[:, None] + within).flatten()
    return torch.stack([times, torch.full_like(times, -1), torch.full_like(times, -1)])
