"""The training forward: one pass of an item's noisy and clean frames through the modules that inference uses.

Nothing of a model is here. :class:`Trainable` holds a transformer, and saves and loads as it does.
b: items; n: noisy frames of a stream, all copies; N: tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lingbot_eval.models.lingbot_va.attention import attended
from lingbot_eval.models.lingbot_va.masked import Way, masked, multiplied
from lingbot_eval.models.lingbot_va.masks import Layout, turns
from lingbot_eval.models.lingbot_va.noising import Noised
from lingbot_eval.models.lingbot_va.padding import padded_once
from lingbot_eval.models.lingbot_va.transformer import (
    Arithmetic,
    Attention,
    Block,
    VideoActionTransformer,
    video_latents,
    video_tokens,
)

KEYS = 32
"""Where blocks are compiled, texts have a multiple of so many keys: shapes are few."""

NO_CHANNEL = 1e-6
"""The original adds this to the number of a frame's commands, by which their squared errors are divided."""


@dataclass(frozen=True)
class Losses:
    """Holds what a step's predictions are off."""

    video: Tensor
    """Weighted by level, the mean over frames; a scalar with gradients, as ``action``."""
    action: Tensor
    total: Tensor
    """Both, by the weights of the streams."""
    video_frames: Tensor
    """(b, n) of each sample and frame, not weighted, without gradients; ``video_times`` (b, n) are their levels."""
    video_times: Tensor
    action_frames: Tensor
    action_times: Tensor


@dataclass(frozen=True)
class Predicted:
    """Holds what a forward makes of noisy frames, float32: ``video`` (b, 48, n, h, w), ``actions`` (b, Da, n, A, 1)."""

    video: Tensor
    actions: Tensor


class Trainable(nn.Module):
    """Computes losses with a transformer.

    Its forward touches every parameter that is not a block's, and each block is called once, as a module: so blocks and
    the whole can be sharded (FSDP2), and blocks recomputed. The model's dtype is that of the weights while it runs.
    """

    def __init__(self, transformer: VideoActionTransformer, attention: Way, compiled: bool = False) -> None:
        """``compiled``: texts have as many keys whatever their lengths, up to a multiple, and nothing is complex, so
        that blocks can be compiled once."""
        super().__init__()
        self.transformer, self._attention, self._compiled = transformer, attention, compiled

    def forward(self, noised: Noised) -> Losses:
        return compared(self.predict(noised), noised)

    def predict(self, noised: Noised) -> Predicted:
        """Return the noisy frames' predictions."""
        model, layout = self.transformer, noised.layout
        device = noised.video.noisy.device
        x = self._embedded(noised)
        video_times = model.times("video", torch.cat([noised.video.times, noised.video.clean_times], 1))
        action_times = model.times("action", torch.cat([noised.actions.times, noised.actions.clean_times], 1))
        modulation = torch.cat([video_times.modulation, action_times.modulation], 1)
        rotation = turns(layout, model.shape.attention_head_dim).to(device)
        history, arithmetic = masked(layout, self._attention, device), TwoStreams(layout)
        if self._compiled:
            rotation, arithmetic = torch.view_as_real(rotation), RealTurns(layout)
        texts = [text.to(device, x.dtype) for text in noised.texts]
        embeddings, bias = padded_once(texts, KEYS if self._compiled else 1)
        context = model.condition_embedder.text(embeddings)
        for _, block in model.layers():
            text = Texts(block, context, bias, self._attention)
            x = block(0, x, modulation, rotation, history, text, arithmetic)  # nothing is kept by layer
        video, _, actions, _ = x.split(layout.lengths, 1)  # type: ignore[no-untyped-call]
        frames, groups = layout.noisy_video.runs, layout.noisy_actions.runs
        out = model.head("video", video, video_times.embedded[:, :frames]).float()
        commands = model.head("action", actions, action_times.embedded[:, :groups]).float()
        commands = commands.view(len(commands), groups, layout.commands, commands.shape[-1])
        return Predicted(video_latents(out, frames, *layout.latent), commands.permute(0, 3, 1, 2).unsqueeze(-1))

    def _embedded(self, noised: Noised) -> Tensor:
        """(b, N, D), in the model's dtype."""
        model, dtype = self.transformer, self.transformer.proj_out.weight.dtype
        video, actions = (
            torch.cat([half.noisy.to(dtype), half.clean.to(dtype)], 2) for half in (noised.video, noised.actions)
        )
        commands = actions[..., 0].flatten(2).transpose(1, 2)
        return torch.cat([model.embed("video", video_tokens(video)), model.embed("action", commands)], 1)


class TwoStreams(Arithmetic):
    """Gives each token what its run has, where a run of video has other tokens than one of actions."""

    def __init__(self, layout: Layout) -> None:
        video, clean_video, *actions = layout.lengths
        self._tokens = (video + clean_video, sum(actions))
        self._runs = (
            layout.noisy_video.runs + layout.clean_video.runs,
            layout.noisy_actions.runs + layout.clean_actions.runs,
        )

    def scaled(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        parts = zip(self._of(x), self._of_runs(shift), self._of_runs(scale), strict=True)
        return torch.cat([super(TwoStreams, self).scaled(*part) for part in parts], 1)

    def added(self, x: Tensor, out: Tensor, gate: Tensor) -> Tensor:
        parts = zip(self._of(x), self._of(out), self._of_runs(gate), strict=True)
        return torch.cat([super(TwoStreams, self).added(*part) for part in parts], 1)

    def _of(self, tokens: Tensor) -> Sequence[Tensor]:
        return torch.split(tokens, list(self._tokens), 1)

    def _of_runs(self, levels: Tensor) -> Sequence[Tensor]:
        return torch.split(levels, list(self._runs), 1)


class RealTurns(TwoStreams):
    """Turns without complex numbers, which are not compiled: the rotation is (N, 1, head_dim / 2, 2), cosine and
    sine."""

    def project(self, layer: int, attention: Attention, x: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        keys, values = attention.keys_and_values(x)
        return _turned(attention.queries(x), rotation), _turned(keys, rotation), values


def _turned(x: Tensor, rotation: Tensor) -> Tensor:
    one, other = x.float().view(*x.shape[:-1], -1, 2).unbind(-1)
    cosine, sine = rotation.unbind(-1)
    pairs = torch.stack([one * cosine - other * sine, one * sine + other * cosine], -1)
    return pairs.flatten(-2).to(x.dtype)


class Texts:
    """Knows the texts of a batch, for one block. Its keys and values are made when it asks, within its forward, where
    its weights are gathered."""

    def __init__(self, block: Block, context: Tensor, bias: Tensor, way: Way) -> None:
        """``context`` (b, keys, D) are embedded texts; ``bias`` (b, 1, 1, keys) is added to their scores."""
        self._block, self._context, self._bias = block, context, bias
        self._way = way

    def attend(self, layer: int, queries: Tensor) -> Tensor:
        keys, values = self._block.text(self._context)
        queries, keys = queries.to(values.dtype), keys.to(values.dtype)
        if self._way == "products":
            return multiplied(queries, keys, values, self._bias)
        return attended(queries, keys, values, self._bias.to(values.dtype))


def compared(predicted: Predicted, noised: Noised) -> Losses:
    """Compare in float32."""
    video, actions = noised.video, noised.actions
    off = (predicted.video - video.target.float()).square().mean((1, 3, 4))
    squares = (predicted.actions - actions.target.float()).square() * noised.mask
    missed = squares.sum((1, 3, 4)) / (noised.mask.sum((1, 3, 4)) + NO_CHANNEL)
    one, two = _mean(off, video.times, video.weights), _mean(missed, actions.times, actions.weights)
    total = noised.video_weight * one + noised.action_weight * two
    return Losses(one, two, total, off.detach(), video.times, missed.detach(), actions.times)


def _mean(errors: Tensor, times: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted errors' mean over the frames that are learnt; 0 where none is."""
    return (errors * weights).sum() / (times > 0).sum().clamp(min=1)
