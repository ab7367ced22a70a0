"""A training step of LingBot-VA with all of the original's work, from the parameters of a loaded transformer: what our
step is measured against, and a second opinion on what it computes.

All samples lie in one sequence, [noisy video | clean video | noisy actions | clean actions], which is filled up to a
multiple of 128 tokens; every frame stands in each part. Self-attention computes all pairs under a mask over samples,
chunks and window. Each sample has 512 text positions, of which every layer makes keys and values; a mask keeps the
samples apart. Every token has a time embedding and a modulation of its own, and is turned in float64.

The original attends by FlexAttention, which leaves out blocks of 128 x 128 that are wholly masked; here all pairs are
computed, as on a CPU there is no such kernel that has gradients. Sharding and recomputation are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lingbot_eval.models.lingbot_va.masks import Layout, places
from lingbot_eval.models.lingbot_va.noising import Half, Noised
from lingbot_eval.models.lingbot_va.padding import MAX_TOKENS
from lingbot_eval.models.lingbot_va.training import Losses, Predicted, compared
from lingbot_eval.models.lingbot_va.transformer import (
    Attention,
    Block,
    VideoActionTransformer,
    action_grid,
    rotary,
    rotated,
    video_grid,
    video_latents,
    video_tokens,
)

MULTIPLE = 128


@dataclass(frozen=True)
class Tokens:
    """What each of the N tokens of all samples is: (N,) int64 each; -1 for what fills up."""

    sample: Tensor
    place: Tensor
    noisy: Tensor


def plain_losses(model: VideoActionTransformer, noised: Noised) -> Losses:
    """``noised`` must have every frame in each part (``masks.whole``)."""
    return compared(predict(model, noised), noised)


def predict(model: VideoActionTransformer, noised: Noised) -> Predicted:
    layout, samples = noised.layout, len(noised.video.noisy)
    frames, rows, columns = noised.video.noisy.shape[2:]
    x = _flat(model, noised)
    count, fill = x.shape[1], -x.shape[1] % MULTIPLE
    x = F.pad(x, (0, 0, 0, fill))
    embedded, modulation = (F.pad(value, (0, 0) * (value.ndim - 2) + (0, fill)) for value in _times(model, noised))
    turns = F.pad(_turns(layout, samples, model.shape.attention_head_dim), (0, 0, 0, 0, 0, fill))
    tokens = _tokens(layout, samples, fill)
    mask, cross = _mask(tokens, layout.window), _cross_mask(tokens, samples)
    text = model.condition_embedder.text(_texts(noised)).flatten(0, 1)[None]
    for _, block in model.layers():
        x = layer(block, x, text, modulation, turns, mask, cross)
    shift, scale = (model.scale_shift_table + embedded).unbind(2)
    x = (normed(x, model.shape.eps) * (1 + scale) + shift).to(x.dtype)
    video = x[:, : samples * frames * layout.video_tokens]
    start = 2 * video.shape[1]
    actions = x[:, start : start + (count - start) // 2]
    out = model.proj_out(video).float().view(samples, -1, model.proj_out.out_features)
    commands = model.action_proj_out(actions).float().view(samples, frames, layout.commands, -1)
    return Predicted(video_latents(out, frames, rows, columns), commands.permute(0, 3, 1, 2).unsqueeze(-1))


def layer(
    block: Block, x: Tensor, text: Tensor, modulation: Tensor, turns: Tensor, mask: Tensor, cross: Tensor
) -> Tensor:
    """``x`` (1, N, D), ``text`` (1, b 512, D), ``modulation`` (1, N, 6, D)."""
    own, other, eps = block.attn1, block.attn2, block.norm2.eps
    shift, scale, gate, shift_ffn, scale_ffn, gate_ffn = (block.scale_shift_table + modulation).unbind(2)
    into = (normed(x, eps) * (1 + scale) + shift).to(x.dtype)
    keys, values = own.keys_and_values(into)
    out = attended(own, rotated(own.queries(into), turns), rotated(keys, turns), values, mask)
    x = (x.float() + out * gate).to(x.dtype)
    into = F.layer_norm(x.float(), x.shape[-1:], block.norm2.weight.float(), block.norm2.bias.float(), eps).to(x.dtype)
    x = x + attended(other, other.queries(into), *other.keys_and_values(text), cross)
    into = (normed(x, eps) * (1 + scale_ffn) + shift_ffn).to(x.dtype)
    out = block.ffn(into)
    return (x.float() + out.float() * gate_ffn).to(x.dtype)


def normed(x: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x.float(), x.shape[-1:], eps=eps)


def attended(attention: Attention, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    parts = (x.transpose(1, 2) for x in (queries, keys, values))
    return attention.project_out(F.scaled_dot_product_attention(*parts, attn_mask=mask).transpose(1, 2))


def _flat(model: VideoActionTransformer, noised: Noised) -> Tensor:
    """(1, N, D): part by part, in each sample by sample."""
    video = [model.embed("video", video_tokens(x)) for x in (noised.video.noisy, noised.video.clean)]
    actions = [
        model.embed("action", x[..., 0].flatten(2).transpose(1, 2))
        for x in (noised.actions.noisy, noised.actions.clean)
    ]
    return torch.cat([part.flatten(0, 1) for part in (*video, *actions)])[None]


def _times(model: VideoActionTransformer, noised: Noised) -> tuple[Tensor, Tensor]:
    """Embedding (1, N, 1, D) and modulation (1, N, 6, D) of every token."""
    layout = noised.layout
    found = []
    for conditioner, half, per_frame in (
        (model.condition_embedder, noised.video, layout.video_tokens),
        (model.condition_embedder_action, noised.actions, layout.commands),
    ):
        found.append(conditioner.times(_per_token(half, per_frame)))
    embedded = torch.cat([times.embedded for times in found], 1)
    return embedded, torch.cat([times.modulation for times in found], 1)


def _per_token(half: Half, per_frame: int) -> Tensor:
    return torch.cat([times.flatten().repeat_interleave(per_frame) for times in (half.times, half.clean_times)])[None]


def _turns(layout: Layout, samples: int, head_dim: int) -> Tensor:
    frames = len(layout.clean_video.frames)
    grids = (video_grid(0, frames, *layout.latent), action_grid(0, frames, layout.commands))
    return rotary(torch.cat([grid.repeat(1, 2 * samples) for grid in grids], 1), head_dim).to(torch.complex128)


def _tokens(layout: Layout, samples: int, fill: int) -> Tokens:
    known = places(layout)
    parts = zip(known.place.split(layout.lengths), (known.copy == 0).split(layout.lengths), strict=True)
    place, noisy, sample = [], [], []
    for part, is_noisy in parts:
        place.append(part.repeat(samples))
        noisy.append(is_noisy.repeat(samples))
        sample.append(torch.arange(samples).repeat_interleave(len(part)))
    filled = (F.pad(torch.cat([x.long() for x in parts]), (0, fill), value=-1) for parts in (sample, place, noisy))
    return Tokens(*filled)


def _mask(tokens: Tokens, window: int | None) -> Tensor:
    """(N, N) bool. What fills up sees itself, or its softmax would be of nothing."""
    asking, asked, noisy, clean = tokens.place[:, None], tokens.place[None], tokens.noisy == 1, tokens.noisy == 0
    seen = clean[:, None] & clean[None] & (asked <= asking)
    seen |= noisy[:, None] & clean[None] & (asked < asking)
    seen |= noisy[:, None] & noisy[None] & (asked == asking)
    seen &= tokens.sample[:, None] == tokens.sample[None]
    if window is not None:
        seen &= (asking - asked).abs() <= window
    return seen | ((tokens.sample < 0)[:, None] & (tokens.sample < 0)[None])


def _cross_mask(tokens: Tokens, samples: int) -> Tensor:
    """(N, b 512) bool. What fills up sees the first sample's text."""
    owners = torch.arange(samples).repeat_interleave(MAX_TOKENS)
    return tokens.sample.clamp(min=0)[:, None] == owners[None]


def _texts(noised: Noised) -> Tensor:
    """(b, 512, text_dim)."""
    first = noised.texts[0]
    padded = first.new_zeros(len(noised.texts), MAX_TOKENS, first.shape[-1])
    for row, text in zip(padded, noised.texts, strict=True):
        row[: len(text)] = text
    return padded
