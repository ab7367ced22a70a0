"""LingBot-VA: the weights once, and a session per episode."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lingbot_eval.agents.lingbot_va.batching import Batcher, Seat
from lingbot_eval.agents.lingbot_va.graphs import Graphs
from lingbot_eval.agents.speaks import Speaks, require
from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.configuration import overridden
from lingbot_eval.models.lingbot_va.key_value_cache import Attended, Pool, SlottedPool
from lingbot_eval.models.lingbot_va.normalisation import Scaling
from lingbot_eval.models.lingbot_va.sampling import denoise_actions, denoise_video, schedule
from lingbot_eval.models.lingbot_va.text import TextEncoder
from lingbot_eval.models.lingbot_va.transformer import (
    Part,
    Prompt,
    Stream,
    VideoActionTransformer,
    action_grid,
    video_grid,
    video_latents,
    video_tokens,
)
from lingbot_eval.models.lingbot_va.vision import Memory, Vision
from lingbot_eval.plain import say
from lingbot_eval.settings.lingbot_va import LingBotSettings
from lingbot_eval.types import Actions, EnvSpec, Image, Observation

Commands = npt.NDArray[np.float32]
"""(n_used, F, A): per channel, latent frame and command, in robot units; upstream's order."""

Noise = tuple[Tensor, Tensor]
"""Standard normal: of the latents (1, 48, F, h, w), of the actions (1, channels, F, A, 1)."""

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True)
class Call:
    """One forward of the transformer, as a trace sees it."""

    name: str
    """``chunkC/{video,action}/stepS`` or ``chunkC/kv/{video,action}``."""
    stream: Stream
    input: Tensor
    """(1, C, F, ...)"""
    output: Tensor | None
    """(rows, L, out) as the model gives it; None where it was not computed."""
    times: tuple[float, ...]
    grid: Tensor
    """(3, L)"""
    frame_start: int
    rows: int
    attended: Attended
    evicted: int
    kept: bool
    pool: Pool


class Trace(Protocol):
    """Sees what a session computes; the session does not depend on it."""

    def encoded(self, name: str, pixels: Tensor, output: Tensor) -> None:
        """``name``: ``chunkC/{init,kv}/vae_{main,wrist}``."""

    def called(self, call: Call) -> None: ...


class LingBotVA:
    """Weights and what is computed once for all episodes."""

    def __init__(
        self,
        settings: LingBotSettings,
        transformer: VideoActionTransformer,
        vision: Vision,
        text: TextEncoder,
        dtype: torch.dtype,
        device: torch.device,
        *,
        graphs: bool = False,
    ) -> None:
        if len(settings.q01) != transformer.shape.action_dim:
            raise BadInput(f"{len(settings.q01)} quantiles for {transformer.shape.action_dim} action channels")
        self.settings, self.transformer, self.vision, self.text = settings, transformer, vision, text
        self.batcher = Batcher(
            transformer, together=not transformer.exact, graphs=Graphs(transformer) if graphs else None
        )
        self.dtype, self.device = dtype, device
        self.scaling = Scaling(settings, dtype, device)
        self.video_plan = schedule(settings.video_steps, settings.video_shift)
        self.action_plan = schedule(settings.action_steps, settings.action_shift)
        self._prompts: dict[str, Prompt] = {}

    @classmethod
    def from_pretrained(
        cls,
        path: str,
        settings: LingBotSettings,
        *,
        parts: str | None = None,
        dtype: Literal["bfloat16", "float32"] = "bfloat16",
        device: str = "cpu",
        text_device: str | None = None,
        vae_device: str | None = None,
        exact: bool = False,
        graphs: bool = False,
    ) -> LingBotVA:
        """Load a folder (upstream's or LeRobot's layout) or hub id (``parts``: as for :func:`checkpoint.locate`); the
        checkpoint's own settings win and differences are printed (stderr). ``text_device`` and ``vae_device``: where
        those parts run, if not on ``device``.

        exact: the original's shapes and order of operations; without it, the same within rounding and faster. graphs:
        CUDA graphs for a session that computes alone (``graphs.py``) and a channels-last VAE.

        Raises NotReady, BadInput, BadCheckpoint.
        """
        if graphs and not (device.startswith("cuda") and not exact):
            raise BadInput(f"graphs=true needs device=cuda and exact=false, not device={device}, exact={exact}")
        home, text_home, vae_home = (_device(name or device) for name in (device, text_device, vae_device))
        checkpoint = locate(path, parts)
        settings, differences = overridden(settings, checkpoint.settings)
        keys = checkpoint.config.get("obs_cam_keys", tuple(settings.cameras))
        if len(keys) != len(settings.cameras):
            raise BadInput(f"{path} was trained with cameras {', '.join(keys)}, not {', '.join(settings.cameras)}")
        for line in differences:
            say(f"LingBot-VA {path}: {line}", file=sys.stderr)
        kind = DTYPES[dtype]
        transformer = loading.load_transformer(checkpoint, kind, home, exact=exact)
        vae = loading.load_vae(checkpoint, kind, vae_home)
        if graphs:
            loading.channels_last(vae)
        vision = Vision(vae, settings, kind, vae_home)
        encoder = loading.load_text_encoder(checkpoint, kind, text_home)
        text = TextEncoder(checkpoint.parts / "tokenizer" / "tokenizer.json", encoder, device=text_home, exact=exact)
        return cls(settings, transformer, vision, text, kind, home, graphs=graphs)

    def check_env(self, spec: EnvSpec) -> None:
        """Raise BadInput where an environment has other cameras or commands than the checkpoint was trained on."""
        settings = self.settings
        speaks = Speaks(
            cameras=tuple(settings.cameras),
            channels=settings.channels,
            commands_per_action=settings.commands_per_look,
        )
        require(speaks, spec, "this checkpoint of LingBot-VA")

    def session(
        self, *, open_loop: bool = False, trace: Trace | None = None, noise: Callable[[int], Noise] | None = None
    ) -> Session:
        """One episode at a time; several may play in threads of their own, and forwards of the same kind are then run
        together (``batching.py``). open_loop: predictions follow each other without feedback, so what only they would
        read is computed too. noise: gives a chunk's noise instead of the session's own generator."""
        return Session(self, open_loop=open_loop, trace=trace, noise=noise)

    def pool(self) -> Pool:
        """A session's cache; its memory is free again when nobody holds the session any more."""
        shape = self.transformer.shape
        kind = SlottedPool if self.transformer.exact else Pool
        return kind(
            layers=shape.num_layers,
            rows=self.settings.rows,
            slots=self.settings.slots,
            heads=shape.num_attention_heads,
            head_dim=shape.attention_head_dim,
            dtype=self.dtype,
            device=self.device,
        )

    def prompt(self, instruction: str) -> Prompt:
        """Keys and values of an instruction (and of the negative prompt) in every layer; the last one is kept."""
        known = self._prompts.get(instruction)  # read once: sessions in other threads replace it
        if known is None:
            texts = [instruction, ""][: self.settings.rows]
            embeddings = [self.text.embed(text).to(self.device) for text in texts]
            known = self.transformer.prompt(embeddings)
            self._prompts = {instruction: known}
        return known


class Session:
    """One episode: its cache, prompt, encoder memory and random generator.

    ``reset`` and ``act`` are the core's protocol; ``infer`` and ``feedback`` are what it is made of.
    """

    def __init__(
        self, model: LingBotVA, *, open_loop: bool, trace: Trace | None, noise: Callable[[int], Noise] | None
    ) -> None:
        self._model, self._settings, self._open_loop, self._trace = model, model.settings, open_loop, trace
        self._everything = open_loop or model.transformer.exact
        self._noise, self._seat = noise, Seat(model.batcher)
        self.pool = model.pool()

    def reset(self, instruction: str, *, seed: int) -> None:
        self.pool = self.pool if self.pool.slots else self._model.pool()
        self.pool.clear()
        self._prompt = self._model.prompt(instruction)
        self._generator = torch.Generator().manual_seed(seed)  # on the CPU: the same noise on every device
        self._memory: Memory = {}
        self._seen: Tensor | None = None
        self._chunk = -1
        self.frame = 0
        """Real latent frames so far (open loop: predicted ones)."""
        self._rotations: dict[tuple[Stream, int, int], tuple[Tensor, Tensor]] = {}
        self.latents: Tensor | None = None
        """(1, 48, F, h, w): what was imagined last."""
        self.came: Tensor | None = None
        """(1, 48, F', h, w): what came instead, encoded by the last feedback."""
        self._seat.waited = 0.0
        self._commands: Commands | None = None

    def end(self) -> None:
        """Free the cache; ``reset`` makes another."""
        self.pool = dataclasses.replace(self.pool, slots=0, groups=[])

    @property
    def waited(self) -> float:
        """Seconds of this episode in which a forward waited for other sessions."""
        return self._seat.waited

    def act(self, frames: Sequence[Observation]) -> Actions:
        """The next chunk: every ``commands_per_look`` commands one action. ``frames``: one picture at first, then one
        for each action of the last chunk."""
        names = self._settings.cameras
        if missing := [name for name in names if any(name not in frame["images"] for frame in frames)]:
            raise BadInput(f"no picture of {', '.join(missing)} in what came; wanted: {', '.join(names)}")
        images = {name: np.stack([frame["images"][name] for frame in frames]) for name in names}
        with self._seat:
            if self._commands is None:
                self._commands = self.infer(images)
                executed = self._commands[:, 1:]  # frame 0 is the picture itself
                if not executed.shape[1]:  # a chunk of one frame: nothing to execute yet
                    self.feedback(None, self._commands)
                    executed = self._commands = self.infer()
            else:
                self.feedback(images, self._commands)
                executed = self._commands = self.infer()
        return to_actions(executed, self._settings.commands_per_look)

    @torch.no_grad()
    def infer(self, images: Mapping[str, Image] | None = None) -> Commands:
        """Imagine the next frames and the commands that lead there.

        images: one of each camera, (1, H, W, 3); needed in the first chunk, unused later.
        """
        settings, model, self._chunk = self._settings, self._model, self._chunk + 1
        start = self.frame
        if start == 0 and self._seen is None:
            if images is None:
                raise BadInput("the first chunk needs a picture of every camera")
            self._seen = self._encode(images, "init")
        seen = self._seen if start == 0 else None
        latents, actions = (self._noise or self._drawn)(self._chunk)
        with self._seat:
            self.latents = denoise_video(
                self._predict("video", start),
                latents.to(model.device, model.dtype),
                seen,
                model.video_plan,
                settings.video_guidance,
                settings.video_exec_step,
            )
            actions = denoise_actions(
                self._predict("action", start),
                actions.to(model.device, model.dtype),
                model.scaling.mask,
                model.action_plan,
                settings.action_guidance,
                first_chunk=start == 0,
            )
        if self._open_loop:
            self.frame += settings.frames
        return np.asarray(model.scaling.commands(actions).cpu().numpy(), np.float32)

    @torch.no_grad()
    def feedback(self, images: Mapping[str, Image] | None, commands: Commands) -> None:
        """Replace the predictions by what happened.

        images: (T, H, W, 3) per camera, four per executed frame (the first frame of the episode is the picture that
        ``infer`` got); None where none of a first chunk's was executed. commands: (n_used, F', A) executed.
        """
        self.pool.drop_predictions()
        start = self.frame
        pieces = [self._encode(images, "kv")] if images is not None and len(next(iter(images.values()))) else []
        if start == 0:
            if self._seen is None:
                raise BadInput("feedback before the first infer")
            pieces.insert(0, self._seen)
        if not pieces:
            raise BadInput("feedback without pictures")
        latents = torch.cat(pieces, dim=2)
        frames = latents.shape[2]
        if commands.shape[1] != frames:
            raise BadInput(f"commands of {commands.shape[1]} frames, pictures of {frames}")
        self.came = latents = latents.to(self._model.device)
        actions = self._model.scaling.normalised(torch.from_numpy(np.asarray(commands, np.float32)))
        streams: tuple[tuple[Stream, Tensor], ...] = (("video", latents), ("action", actions))
        with self._seat:
            for stream, content in streams:
                name = f"chunk{self._chunk}/kv/{stream}"
                rows, head = self._settings.rows, self._model.transformer.exact
                self._forward(name, stream, content, [0.0] * frames, start, rows=rows, keep="real", head=head)
        self.frame += frames

    def _predict(self, stream: Stream, start: int) -> Any:
        """A forward as the denoising loops want it. Of the negative prompt's row, and of forwards that only write
        predictions, what nobody reads is left out: feedback drops predictions before they meet another chunk."""
        settings = self._settings
        guided = settings.rows if settings.action_guidance > 1 else 1  # action guidance needs video's negative row too

        def predict(step: int, noisy: Tensor, times: Sequence[float], *, commit: bool) -> Tensor | None:
            head = not commit or self._model.transformer.exact
            if stream == "video":
                head = head or settings.video_exec_step is not None
                rows = settings.rows if head or self._everything else guided
            else:
                rows = settings.rows if self._everything and (commit or self._model.transformer.exact) else guided
                if commit and not self._everything:
                    return None
            name = f"chunk{self._chunk}/{stream}/step{step}"
            keep: Literal["predicted"] | None = "predicted" if commit else None
            return self._forward(name, stream, noisy, times, start, rows=rows, keep=keep, head=head)

        return predict

    def _forward(
        self,
        name: str,
        stream: Stream,
        content: Tensor,
        times: Sequence[float],
        start: int,
        *,
        rows: int,
        keep: Literal["predicted", "real"] | None,
        head: bool,
    ) -> Tensor | None:
        """``content`` (1, C, F, ...) at ``times`` per frame -> (rows, C, F, ...), or None without ``head``."""
        model, pool, frames = self._model.transformer, self.pool, content.shape[2]
        batch = content.repeat(rows, 1, 1, 1, 1)  # before it becomes tokens: a bfloat16 product rounds by memory layout
        tokens = video_tokens(batch) if stream == "video" else batch[..., 0].flatten(2).transpose(1, 2)
        count = tokens.shape[1]
        evicted = pool.make_room(count)
        pool.check_rows(rows)
        grid, rotation = self._rotation(stream, start, frames)
        levels = model.times(stream, times, count // frames, rows)
        part = Part(tokens, levels, rotation, self._prompt.first(rows), pool)
        out = self._seat.forward(part, stream, head=head)
        attended = [*pool.attended(), (name, count)]
        if keep:
            pool.commit(name, count, real=keep == "real", rows=rows)
        if self._trace is not None:
            call = Call(
                name, stream, content, out, tuple(times), grid, start, rows, attended, evicted, bool(keep), pool
            )
            self._trace.called(call)
        if out is None:
            return None
        if stream == "video":
            return video_latents(out, frames, *content.shape[3:])
        return out.transpose(1, 2).reshape(rows, -1, frames, count // frames, 1)

    def _rotation(self, stream: Stream, start: int, frames: int) -> tuple[Tensor, Tensor]:
        """Grid and rotary table, made once per chunk."""
        key = (stream, start, frames)
        if key not in self._rotations:
            self._rotations = {known: table for known, table in self._rotations.items() if known[1] == start}
            if stream == "video":
                grid = video_grid(start, frames, *self._settings.latent_size)
            else:
                grid = action_grid(start, frames, self._settings.commands_per_frame)
            self._rotations[key] = grid, self._model.transformer.rotation(grid)
        return self._rotations[key]

    def _encode(self, images: Mapping[str, Image], phase: str) -> Tensor:
        watch = None
        if self._trace is not None:
            trace, prefix = self._trace, f"chunk{self._chunk}/{phase}"

            def watch(name: str, pixels: Tensor, out: Tensor) -> None:
                trace.encoded(f"{prefix}/vae_{name}", pixels, out)

        return self._model.vision.encode(images, self._memory, watch).to(self._model.device)

    def _drawn(self, chunk: int) -> Noise:
        """float32, in the original's order; rounded later, so that every dtype starts from the same noise."""
        settings, shape = self._settings, self._model.transformer.shape
        latents = (1, shape.in_channels, settings.frames, *settings.latent_size)
        actions = (1, shape.action_dim, settings.frames, settings.commands_per_frame, 1)
        return torch.randn(latents, generator=self._generator), torch.randn(actions, generator=self._generator)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # unknown to torch, or not on this machine
        raise BadInput(f"device {name!r}: {str(error).splitlines()[0]} (valid: cpu, cuda, cuda:N)") from None
    return device


def to_actions(commands: Commands, commands_per_look: int) -> Actions:
    """(n_used, F, A) -> (N, K, n_used): in order of time, K commands between two looks."""
    return commands.transpose(1, 2, 0).reshape(-1, commands_per_look, len(commands))
