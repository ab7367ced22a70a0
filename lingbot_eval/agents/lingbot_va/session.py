"""A session plays episodes: it observes, imagines the next video latents, acts, and feeds back what really came."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lingbot_eval.agents.lingbot_va.batching import Seat
from lingbot_eval.agents.lingbot_va.forwards import Part
from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.attention import Prompt
from lingbot_eval.models.lingbot_va.key_value_cache import Attended, KeyValueCache
from lingbot_eval.models.lingbot_va.sampling import Predict, denoise_actions, denoise_video
from lingbot_eval.models.lingbot_va.transformer import Stream, action_grid, video_grid, video_latents, video_tokens
from lingbot_eval.models.lingbot_va.vision import Memory
from lingbot_eval.types import Actions, Image, Observation

if TYPE_CHECKING:
    from lingbot_eval.agents.lingbot_va.sessions import Sessions

Commands = npt.NDArray[np.float32]
"""(n_used, F, A): per channel, latent frame and command, in robot units; upstream's order."""

Noise = tuple[Tensor, Tensor]
"""Standard normal: of the latents (1, 48, F, h, w), of the actions (1, channels, F, A, 1)."""


@dataclass(frozen=True)
class Chunk:
    """Holds what a session imagined, and the commands that lead there."""

    commands: Commands
    latents: Tensor
    """(1, 48, F, h, w)"""


@dataclass(frozen=True)
class Turn:
    """Holds what happened in a session between two of its looks at the world."""

    actions: Actions
    chunk: Chunk
    """``actions`` are those of its commands that are to be executed."""
    came: Tensor | None
    """(1, 48, F', h, w): latents of what came of the turn before; None in the first, unless its chunk was fed back."""


@dataclass
class State:
    """Holds all that a session knows of its episode; every episode has another one."""

    prompt: Prompt
    cache: KeyValueCache
    generator: torch.Generator
    """It is on the CPU: the same noise on every device."""
    seat: Seat
    pictures: Memory = field(default_factory=dict)
    """The VAE's encoder remembers this."""
    seen: Tensor | None = None
    """(1, 48, 1, h, w): the episode's first picture."""
    chunk: int = -1
    """The number of the last ``infer``, from 0."""
    frame: int = 0
    """The episode has so many real latent frames so far (open loop: predicted ones)."""
    commands: Commands | None = None
    """These are being executed."""
    rotations: dict[tuple[Stream, int, int], tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Grid and rotary table of the present chunk, by stream, first frame and number of frames."""


@dataclass(frozen=True)
class Call:
    """This is one forward of the transformer, as a trace sees it."""

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
    cache: KeyValueCache


class Trace(Protocol):
    """Sees what a session computes; the session does not depend on it."""

    def encoded(self, name: str, pixels: Tensor, output: Tensor) -> None:
        """See an encoding; ``name`` is ``chunkC/{init,kv}/vae_{main,wrist}``."""

    def called(self, call: Call) -> None: ...


class Session:
    """A session is an agent, which plays one episode after another, each in a state of its own.

    ``reset`` and ``act`` are the core's protocol; ``infer`` and ``feedback`` are what it is made of.
    """

    def __init__(
        self, sessions: Sessions, *, open_loop: bool, trace: Trace | None, noise: Callable[[int], Noise] | None
    ) -> None:
        self._sessions, self._model, self._settings = sessions, sessions.model, sessions.model.settings
        self._open_loop, self._trace, self._noise = open_loop, trace, noise
        self._everything = open_loop or sessions.exact
        self._state: State | None = None

    @property
    def state(self) -> State:
        if self._state is None:
            raise BadInput("the session plays no episode; reset begins one")
        return self._state

    def reset(self, instruction: str, *, seed: int) -> None:
        """Begin an episode; the memory of the last one's cache is used again."""
        before, sessions = self._state, self._sessions
        cache = before.cache if before and before.cache.slots else sessions.cache()
        cache.clear()
        generator = torch.Generator().manual_seed(seed)
        self._state = State(sessions.prompt(instruction), cache, generator, Seat(sessions.batcher))

    def end(self) -> None:
        """Free the cache; ``reset`` makes another."""
        self.state.cache = dataclasses.replace(self.state.cache, slots=0, groups=[])

    @property
    def waited(self) -> float:
        """Return the seconds of this episode in which a forward waited for other sessions."""
        return self.state.seat.waited

    def act(self, frames: Sequence[Observation]) -> Actions:
        """Return the next chunk: every ``commands_per_look`` commands one action. ``frames``: one picture at first,
        then one for each action of the last chunk."""
        return self.turn(frames).actions

    def turn(self, frames: Sequence[Observation]) -> Turn:
        """Do what ``act`` does, and return what was seen and imagined on the way."""
        names, state = self._settings.cameras, self.state
        if missing := [name for name in names if any(name not in frame["images"] for frame in frames)]:
            raise BadInput(f"no picture of {', '.join(missing)} in what came; wanted: {', '.join(names)}")
        images = {name: np.stack([frame["images"][name] for frame in frames]) for name in names}
        came = None
        with state.seat:
            if state.commands is not None:
                came = self.feedback(images, state.commands)
                chunk = self.infer()
                executed = state.commands = chunk.commands
            else:
                chunk = self.infer(images)
                state.commands = chunk.commands
                executed = state.commands[:, 1:]  # frame 0 is the picture itself
                if not executed.shape[1]:  # a chunk of one frame: nothing to execute yet
                    came = self.feedback(None, chunk.commands)
                    chunk = self.infer()
                    executed = state.commands = chunk.commands
        return Turn(to_actions(executed, self._settings.commands_per_look), chunk, came)

    @torch.no_grad()
    def infer(self, images: Mapping[str, Image] | None = None) -> Chunk:
        """Imagine the next frames and the commands that lead there.

        images: one of each camera, (1, H, W, 3); needed in the first chunk, unused later.
        """
        settings, model, state = self._settings, self._model, self.state
        state.chunk += 1
        first = state.frame == 0
        if first and state.seen is None:
            if images is None:
                raise BadInput("the first chunk needs a picture of every camera")
            state.seen = self._encode(images, "init")
        noise = (self._noise or self._drawn)(state.chunk)
        latents, actions = (part.to(model.device, model.dtype) for part in noise)
        with state.seat:
            latents = denoise_video(
                self._predict("video", state.frame),
                latents,
                state.seen if first else None,
                model.video_plan,
                settings.video_guidance,
                settings.video_exec_step,
            )
            actions = denoise_actions(
                self._predict("action", state.frame),
                actions,
                model.normalisation.mask,
                model.action_plan,
                settings.action_guidance,
                first_chunk=first,
            )
        if self._open_loop:
            state.frame += settings.frames
        return Chunk(np.asarray(model.normalisation.commands(actions).cpu().numpy(), np.float32), latents)

    @torch.no_grad()
    def feedback(self, images: Mapping[str, Image] | None, commands: Commands) -> Tensor:
        """Replace the predictions by what happened; return its latents, (1, 48, F', h, w).

        images: (T, H, W, 3) per camera, four per executed frame (the first frame of the episode is the picture that
        ``infer`` got); None where none of a first chunk's was executed. commands: (n_used, F', A) executed.
        """
        state = self.state
        state.cache.drop_predictions()
        start = state.frame
        pieces = [self._encode(images, "kv")] if images is not None and len(next(iter(images.values()))) else []
        if start == 0:
            if state.seen is None:
                raise BadInput("feedback needs a chunk to speak of: call infer first")
            pieces.insert(0, state.seen)
        if not pieces:
            raise BadInput("feedback without pictures")
        latents = torch.cat(pieces, dim=2).to(self._model.device)
        frames = latents.shape[2]
        if commands.shape[1] != frames:
            raise BadInput(
                f"the commands cover {commands.shape[1]} latent frames and the pictures {frames}; they must cover "
                "the same"
            )
        actions = self._model.normalisation.normalised(torch.from_numpy(np.asarray(commands, np.float32)))
        streams: tuple[tuple[Stream, Tensor], ...] = (("video", latents), ("action", actions))
        with state.seat:
            for stream, content in streams:
                name = f"chunk{state.chunk}/kv/{stream}"
                rows, head = self._settings.rows, self._sessions.exact
                self._forward(name, stream, content, [0.0] * frames, start, rows=rows, keep="real", head=head)
        state.frame += frames
        return latents

    def _predict(self, stream: Stream, start: int) -> Predict:
        """Return a forward as the denoising loops want it. It leaves out what nobody reads of the negative prompt's
        row, and of forwards that only write predictions: feedback drops them before they meet another chunk."""
        settings = self._settings
        guided = settings.rows if settings.action_guidance > 1 else 1  # action guidance needs video's negative row too

        def predict(step: int, noisy: Tensor, times: Sequence[float], *, commit: bool) -> Tensor | None:
            head = not commit or self._sessions.exact
            if stream == "video":
                head = head or settings.video_exec_step is not None
                rows = settings.rows if head or self._everything else guided
            else:
                rows = settings.rows if self._everything and (commit or self._sessions.exact) else guided
                if commit and not self._everything:
                    return None
            name = f"chunk{self.state.chunk}/{stream}/step{step}"
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
        """Make a forward of ``content`` (1, C, F, ...) at ``times`` per frame -> (rows, C, F, ...), or None without
        ``head``."""
        forwards, state, frames = self._sessions.forwards, self.state, content.shape[2]
        cache = state.cache
        batch = content.repeat(rows, 1, 1, 1, 1)  # before it becomes tokens: a bfloat16 product rounds by memory layout
        tokens = video_tokens(batch) if stream == "video" else batch[..., 0].flatten(2).transpose(1, 2)
        count = tokens.shape[1]
        evicted = cache.make_room(count)
        cache.check_rows(rows)
        grid, rotation = self._rotation(stream, start, frames)
        levels = forwards.times(stream, times, count // frames, rows)
        part = Part(tokens, levels, rotation, state.prompt.first(rows), cache)
        out = state.seat.forward(part, stream, head=head)
        attended = [*cache.attended(), (name, count)]
        if keep:
            cache.commit(name, count, real=keep == "real", rows=rows)
        if self._trace is not None:
            call = Call(
                name, stream, content, out, tuple(times), grid, start, rows, attended, evicted, bool(keep), cache
            )
            self._trace.called(call)
        if out is None:
            return None
        if stream == "video":
            return video_latents(out, frames, *content.shape[3:])
        return out.transpose(1, 2).reshape(rows, -1, frames, count // frames, 1)

    def _rotation(self, stream: Stream, start: int, frames: int) -> tuple[Tensor, Tensor]:
        """Return grid and rotary table, made once per chunk."""
        known, key = self.state.rotations, (stream, start, frames)
        if key not in known:
            for old in [old for old in known if old[1] != start]:
                del known[old]
            if stream == "video":
                grid = video_grid(start, frames, *self._settings.latent_size)
            else:
                grid = action_grid(start, frames, self._settings.commands_per_frame)
            known[key] = grid, self._sessions.forwards.rotation(grid)
        return known[key]

    def _encode(self, images: Mapping[str, Image], phase: str) -> Tensor:
        watch = None
        if self._trace is not None:
            trace, prefix = self._trace, f"chunk{self.state.chunk}/{phase}"

            def watch(name: str, pixels: Tensor, out: Tensor) -> None:
                trace.encoded(f"{prefix}/vae_{name}", pixels, out)

        return self._model.vision.encode(images, self.state.pictures, watch).to(self._model.device)

    def _drawn(self, chunk: int) -> Noise:
        """Draw float32, in the original's order; rounded later, so that every dtype starts from the same noise."""
        settings, shape, generator = self._settings, self._model.transformer.shape, self.state.generator
        latents = (1, shape.in_channels, settings.frames, *settings.latent_size)
        actions = (1, shape.action_dim, settings.frames, settings.commands_per_frame, 1)
        return torch.randn(latents, generator=generator), torch.randn(actions, generator=generator)


def to_actions(commands: Commands, commands_per_look: int) -> Actions:
    """Turn (n_used, F, A) into (N, K, n_used): in order of time, K commands between two looks."""
    return commands.transpose(1, 2, 0).reshape(-1, commands_per_look, len(commands))
