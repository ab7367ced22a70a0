"""LingBot-VA with all of the original's work, from the parameters of a loaded model. Slow, small, and on its own: what
the fast path is measured against, and a second opinion on what it computes.

Every forward makes anew what an episode could have kept: the text MLP and each layer's keys and values over all 512
text positions, the rotary table, a time embedding and a modulation for every token. Both batch rows go through every
forward, also where nobody reads the negative prompt's; forwards that only write keys are computed to the end, and the
action stream's last one is made although feedback drops what it wrote. Queries, keys and values are three products,
turned in complex128. Each layer keeps its own table of slots, as tensors, and gathers its keys out of it.

Left out are the original's costs that are not arithmetic: sharding on one device, emptied caches, debug dumps, a
schedule kept on the device. Pictures, schedules, denoising loops and normalisation are the package's own.

Measured against the original's transformer (commit 7c6ffa9; same weights and inputs, one run, one thread, float32, the
``--mid`` model): 1.00 of its process time for video and action forwards, with 3,264 cached keys of robotwin and with
1,440 of libero (0.994 to 1.003), outputs within 3e-6; 74 kernels and 4 waits of the host per layer in both
(``operators.py``). Chunks recorded from the original come out within 2e-5 (``tests/fidelity``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lingbot_eval.agents.lingbot_va.session import Chunk, Commands, Noise
from lingbot_eval.models.lingbot_va.model import LingBotVA
from lingbot_eval.models.lingbot_va.padding import MAX_TOKENS
from lingbot_eval.models.lingbot_va.sampling import denoise_actions, denoise_video
from lingbot_eval.models.lingbot_va.transformer import (
    Block,
    Stream,
    action_grid,
    rotary,
    video_grid,
    video_latents,
    video_tokens,
)
from lingbot_eval.models.lingbot_va.vision import Memory
from lingbot_eval.types import Image

Keep = Literal["predicted", "real"] | None


class PlainEpisode:
    """One episode: ``reset``, then ``infer`` and ``feedback`` in turn, as in ``session.Session``.

    Open loop: nothing is fed back, and the caller moves ``frame`` on.
    """

    def __init__(self, model: LingBotVA, noise: Callable[[int], Noise]) -> None:
        """``noise`` gives each chunk's."""
        self._model, self._noise = model, noise

    def reset(self, instruction: str) -> None:
        model, settings, shape = self._model, self._model.settings, self._model.transformer.shape
        self._text = torch.zeros(settings.rows, MAX_TOKENS, shape.text_dim, dtype=model.dtype, device=model.device)
        for row, text in zip(self._text, (instruction, ""), strict=False):
            embedding = model.text.embed(text)
            row[: len(embedding)] = embedding
        size = (settings.rows, settings.slots, shape.num_attention_heads, shape.attention_head_dim)
        empty = partial(torch.empty, size, dtype=model.dtype, device=model.device)
        self.layers = [Slots(empty(), empty()) for _ in range(shape.num_layers)]
        self._memory: Memory = {}
        self._chunk, self.frame = -1, 0

    @torch.no_grad()
    def infer(self, images: Mapping[str, Image] | None = None) -> Chunk:
        """``images``: one of each camera, (1, H, W, 3), in the first chunk."""
        model, settings, self._chunk = self._model, self._model.settings, self._chunk + 1
        if images is not None:
            self._seen = model.vision.encode(images, self._memory).to(model.device)
        first = self.frame == 0
        latents, actions = (noise.to(model.device, model.dtype) for noise in self._noise(self._chunk))
        latents = denoise_video(
            partial(self._predict, "video"),
            latents,
            self._seen if first else None,
            model.video_plan,
            settings.video_guidance,
            settings.video_exec_step,
        )
        actions = denoise_actions(
            partial(self._predict, "action"),
            actions,
            model.normalisation.mask,
            model.action_plan,
            settings.action_guidance,
            first_chunk=first,
        )
        return Chunk(np.asarray(model.normalisation.commands(actions).cpu().numpy(), np.float32), latents)

    @torch.no_grad()
    def feedback(self, images: Mapping[str, Image] | None, commands: Commands) -> None:
        """``images`` (T, H, W, 3) per camera and ``commands`` (n_used, F, A) of the frames that were executed."""
        model = self._model
        for slots in self.layers:
            slots.drop_predictions()
        pieces = [self._seen] if self.frame == 0 else []
        if images is not None:
            pieces.append(model.vision.encode(images, self._memory).to(model.device))
        latents = torch.cat(pieces, dim=2)
        actions = model.normalisation.normalised(torch.from_numpy(np.asarray(commands, np.float32)))
        clean = [0.0] * latents.shape[2]
        self.forward("video", latents, clean, keep="real")
        self.forward("action", actions, clean, keep="real")
        self.frame += latents.shape[2]

    @torch.no_grad()
    def forward(self, stream: Stream, content: Tensor, times: Sequence[float], *, keep: Keep) -> Tensor:
        """``content`` (1, C, F, ...) at ``times`` per frame -> (rows, L, out), as the transformer gives it."""
        model, rows, frames = self._model.transformer, self._model.settings.rows, content.shape[2]
        if stream == "video":
            embed, conditioner, head = model.patch_embedding_mlp, model.condition_embedder, model.proj_out
            tokens, grid = video_tokens(content), video_grid(self.frame, frames, *content.shape[3:])
        else:
            embed, conditioner, head = model.action_embedder, model.condition_embedder_action, model.action_proj_out
            tokens = content[..., 0].flatten(2).transpose(1, 2)
            grid = action_grid(self.frame, frames, content.shape[3])
        per_token = torch.tensor(times, device=content.device).repeat_interleave(tokens.shape[1] // frames)
        levels = conditioner.times(per_token.repeat(rows, 1))
        rotation = rotary(grid, model.shape.attention_head_dim).to(content.device)
        text = model.condition_embedder.text(self._text)
        x = embed(tokens.repeat(rows, 1, 1))
        for block, slots in zip(model.blocks, self.layers, strict=True):
            assert isinstance(block, Block)
            x = layer(block, x, text, levels.modulation, rotation, slots, keep)
        shift, scale = (model.scale_shift_table + levels.embedded).unbind(2)
        out: Tensor = head((normed(x, model.shape.eps) * (1 + scale) + shift).to(x.dtype))
        return out

    def _predict(self, stream: Stream, step: int, noisy: Tensor, times: Sequence[float], *, commit: bool) -> Tensor:
        out = self.forward(stream, noisy, times, keep="predicted" if commit else None)
        if stream == "video":
            return video_latents(out, *noisy.shape[2:])
        return out.transpose(1, 2).reshape(len(out), -1, *noisy.shape[2:])


class Slots:
    """One layer's keys and values, and tensors that say what each slot holds."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        """Memory of (rows, slots, heads, head_dim) each."""
        self.keys, self.values = keys, values
        self.valid = torch.zeros(keys.shape[1], dtype=torch.bool, device=keys.device)
        self.predicted = torch.zeros_like(self.valid)
        self.group = torch.zeros_like(self.valid, dtype=torch.long)
        """Which forward wrote it; later ones have higher numbers."""

    def make_room(self, tokens: int) -> Tensor:
        """The first ``tokens`` free slots; where there are fewer, the oldest groups' first tokens go."""
        free = (~self.valid).nonzero()[:, 0]
        if len(free) < tokens:
            held = self.valid.nonzero()[:, 0]
            oldest = held[self.group[held].argsort(stable=True)]
            self.valid[oldest[: tokens - len(free)]] = False
            free = (~self.valid).nonzero()[:, 0]
        return free[:tokens]

    def write(self, keys: Tensor, values: Tensor, *, predicted: bool) -> Tensor:
        """Put (rows, tokens, heads, head_dim) into free slots, and say which."""
        own = self.make_room(keys.shape[1])
        newest = self.group[self.valid].max() + 1 if self.valid.any() else 0
        self.keys[:, own], self.values[:, own] = keys, values
        self.valid[own], self.group[own], self.predicted[own] = True, newest, predicted
        return own

    def drop_predictions(self) -> None:
        self.valid[self.predicted] = False


def layer(
    block: Block, x: Tensor, text: Tensor, modulation: Tensor, rotation: Tensor, slots: Slots, keep: Keep
) -> Tensor:
    """``x`` (b, L, D), ``text`` (b, 512, D), ``modulation`` (b, L, 6, D)."""
    own, cross, eps = block.attn1, block.attn2, block.norm2.eps
    shift, scale, gate, shift_ffn, scale_ffn, gate_ffn = (block.scale_shift_table + modulation).unbind(2)

    into = (normed(x, eps) * (1 + scale) + shift).to(x.dtype)
    queries = turned(own.split(own.norm_q(own.to_q(into))), rotation)
    keys = turned(own.split(own.norm_k(own.to_k(into))), rotation)
    written = slots.write(keys, own.split(own.to_v(into)), predicted=keep == "predicted")
    held = slots.valid.nonzero()[:, 0]
    out = attended(queries, slots.keys[:, held], slots.values[:, held])
    if keep is None:
        slots.valid[written] = False
    x = (x.float() + own.to_out[0](out) * gate).to(x.dtype)

    into = normed(x, eps, block.norm2.weight.float(), block.norm2.bias.float()).to(x.dtype)
    queries = cross.split(cross.norm_q(cross.to_q(into)))
    keys, values = cross.split(cross.norm_k(cross.to_k(text))), cross.split(cross.to_v(text))
    x = x + cross.to_out[0](attended(queries, keys, values))

    into = (normed(x, eps) * (1 + scale_ffn) + shift_ffn).to(x.dtype)
    fed: Tensor = block.ffn(into)
    return (x.float() + fed.float() * gate_ffn).to(x.dtype)


def normed(x: Tensor, eps: float, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    return F.layer_norm(x.float(), x.shape[-1:], weight, bias, eps)


def turned(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotate neighbours in (b, L, heads, head_dim) by ``rotation`` (L, 1, head_dim / 2), in float64."""
    pairs = torch.view_as_complex(x.double().view(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation).flatten(-2).to(x.dtype)


def attended(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """(b, tokens, heads, head_dim) each -> (b, L, D)."""
    queries, keys, values = queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)
    return F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2)
