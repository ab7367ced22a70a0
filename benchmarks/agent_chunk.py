"""A closed-loop chunk of LingBot-VA: the fast path against a plain one that does all of the original's work.

    python -m benchmarks.agent_chunk [--rounds 2] [--checkpoint DIR] [--sessions 1,2,4,8]
    python -m benchmarks.agent_chunk --check    # tiny model, few steps: is it equal, are the counts right? No ratio.

A chunk is the feedback of the last one's pictures and commands and the imagining of the next. Both paths take turns in
one process on one thread, float32, with the same weights, pictures, commands and noise. Process time is measured, so
that the ratio holds on a shared machine; absolute figures do not carry over. Before every round the oldest keys go, so
that every chunk is imagined over the same number of real ones.

Exit status 1: a difference, a count or (without --check) a ratio is beyond its bound.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.operators import Count, Operators
from benchmarks.plain import PlainEpisode, Slots
from lingbot_eval.agents.lingbot_va.session import Call, Commands, Noise, Session
from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.models.lingbot_va.configuration import load_benchmark
from lingbot_eval.models.lingbot_va.key_value_cache import KeyValueCache
from lingbot_eval.models.lingbot_va.model import LingBotVA
from lingbot_eval.models.lingbot_va.sampling import Schedule
from lingbot_eval.models.lingbot_va.tiny import make_tiny
from lingbot_eval.settings.lingbot_va import IMAGES_PER_FRAME, LingBotSettings
from lingbot_eval.types import Image

Floats = npt.NDArray[np.float32]

FORWARD_ATOL = 1e-5
"""Of one forward, from equal inputs."""
ATOL, RTOL = 2e-4, 1e-4
"""Of a whole chunk, as in tests/fidelity: ten times what two valid executions of the original differ by."""
KERNELS_PER_LAYER = 45
FEW = (4, 8)
"""Video and action steps where whole schedules would only take longer."""
CHECKED = 3
"""Chunks in the cache with --check."""
INSTRUCTION = "pick up the bowl and place it in the basket"


@dataclass(frozen=True)
class Geometry:
    benchmark: str
    keys: int
    """Real ones that a chunk is imagined over."""
    ratio: float
    """Plain / fast, at least; by the operations alone 1.9 (robotwin) and 2.7 (libero) could be had."""


ROBOTWIN, LIBERO = Geometry("robotwin", 3264, 1.8), Geometry("libero", 1440, 2.4)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="whole chunks per path and geometry")
    parser.add_argument("--checkpoint", type=Path, help="instead of what lingbot-eval make-tiny --mid writes")
    parser.add_argument("--sessions", default="1,2,4,8", help="how many at once (libero); empty: do not measure")
    parser.add_argument("--check", action="store_true", help="one round of few steps on the tiny model, one session")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.checkpoint or Path(temporary) / "model"
        if given.checkpoint is None:
            make_tiny(folder, mid=not given.check)
        sound = [measure(loaded(folder, which), which, given.rounds, given.check) for which in (ROBOTWIN, LIBERO)]
        if given.sessions and not given.check:
            counts = [int(count) for count in given.sessions.split(",")]
            measure_sessions(loaded(folder, LIBERO), LIBERO.keys, counts)
    return 0 if all(sound) else 1


def loaded(folder: Path, geometry: Geometry) -> Sessions:
    return Sessions.from_pretrained(str(folder), load_benchmark(geometry.benchmark), dtype="float32")


def measure(sessions: Sessions, geometry: Geometry, rounds: int, check: bool) -> bool:
    """Print a geometry's figures; return whether all are within their bounds."""
    model = sessions.model
    keys = min(geometry.keys, CHECKED * chunk_tokens(model.settings)) if check else geometry.keys
    pair = Pair(sessions, keys)
    if check:
        shorten(model, FEW)
    steps = f"{len(model.video_plan.timesteps)} video and {len(model.action_plan.timesteps)} action steps"
    print(f"{geometry.benchmark}: {keys:,} cached keys, {steps}")
    chunks = []
    for _ in range(1 if check else rounds):
        chunks.append(chunk := pair.chunk())
        print(f"  chunk: plain {chunk.plain:.2f} s, fast {chunk.fast:.2f} s of process time, {chunk.ratio:.2f}x")
    sound = True
    if not check:
        ratio = statistics.median(chunk.ratio for chunk in chunks)
        sound = bounded(f"ratio: {ratio:.2f}x", ratio >= geometry.ratio, f"at least {geometry.ratio}x")
    for name in ("latents", "actions"):
        largest, excess = np.max([getattr(chunk, name) for chunk in chunks], axis=0)  # NaN stays
        bound = f"at most {ATOL:g} + {RTOL:g} of the value"
        sound &= bounded(f"a chunk's {name} differ by {largest:.1e}", bool(excess <= 1), bound)
    shorten(model, FEW)
    forwards = pair.lockstep()
    largest = np.max(forwards.differences)
    sound &= bounded(f"forwards differ by {largest:.1e}", bool(largest <= FORWARD_ATOL), f"at most {FORWARD_ATOL:g}")
    most = {name: max(getattr(count, name) for count in forwards.fast) for name in ("per_layer", "total", "waits")}
    plain = {name: max(getattr(count, name) for count in forwards.plain) for name in most}
    kernels = f"kernels per layer: plain {plain['per_layer']}, fast {most['per_layer']}"
    sound &= bounded(kernels, most["per_layer"] <= KERNELS_PER_LAYER, f"fast at most {KERNELS_PER_LAYER}")
    print(f"  kernels per forward: plain {plain['total']}, fast {most['total']}")
    waits = f"waits of the host per forward: plain {plain['waits']}, fast {most['waits']}"
    return sound & bounded(waits, most["waits"] == 0, "fast 0")


def bounded(text: str, within: bool, bound: str) -> bool:
    print(f"  {text} ({bound}){'' if within else '  BEYOND'}", flush=True)
    return within


def measure_sessions(shared: Sessions, keys: int, counts: Sequence[int]) -> None:
    """Print chunks per second of process time for so many sessions at once, each in a thread of its own."""
    model = shared.model
    sessions = [shared.new(noise=partial(noise, model)) for _ in range(max(counts))]
    for session in sessions:
        session.reset(INSTRUCTION, seed=0)
        fill(session, model, keys)
    shorten(model, FEW)
    print(f"libero, several sessions: {keys:,} cached keys, {FEW[0]} video and {FEW[1]} action steps")

    images = pictures(model.settings, IMAGES_PER_FRAME * model.settings.frames)

    def play(session: Session) -> None:
        session.feedback(images, executed(model, 0))
        session.infer()

    for count in counts:
        trim(model, keys, *(session.state.cache for session in sessions))
        with ThreadPoolExecutor(count) as threads:
            start = time.process_time()
            list(threads.map(play, sessions[:count]))
            seconds = time.process_time() - start
        print(f"  {count}: {count / seconds:.3f} chunks/s of process time", flush=True)


@dataclass(frozen=True)
class Measured:
    """One chunk on both paths."""

    plain: float
    """Seconds of process time."""
    fast: float
    latents: tuple[float, float]
    """Largest difference, and largest difference / its tolerance."""
    actions: tuple[float, float]

    @property
    def ratio(self) -> float:
        return self.plain / self.fast


class Pair:
    """One episode on both paths, with ``keys`` real ones in the cache whenever a chunk is imagined."""

    def __init__(self, sessions: Sessions, keys: int) -> None:
        self._model, self._keys, self._chunks = sessions.model, keys, 0
        self._forwards, model = Lockstep(), sessions.model
        self._session = sessions.new(trace=self._forwards, noise=partial(noise, model))
        self._plain = PlainEpisode(model, partial(noise, model))
        self._session.reset(INSTRUCTION, seed=0)
        self._plain.reset(INSTRUCTION)
        for episode in (self._session, self._plain):
            fill(episode, model, keys)

    def chunk(self) -> Measured:
        images, commands = self._happened()
        start = time.process_time()
        self._session.feedback(images, commands)
        fast = self._session.infer()
        between = time.process_time()
        self._plain.feedback(images, commands)
        plain = self._plain.infer()
        end = time.process_time()
        latents = difference(fast.latents.numpy(), plain.latents.numpy())
        return Measured(end - between, between - start, latents, difference(fast.commands, plain.commands))

    def lockstep(self) -> Lockstep:
        """Another chunk of the fast path, each forward of it on the plain one too."""
        images, commands = self._happened()
        self._session.feedback(images, commands)
        self._plain.feedback(images, commands)
        with Operators(self._model.transformer.blocks) as operators:
            self._forwards.follow(self._plain, operators)
            self._session.infer()
        return self._forwards

    def _happened(self) -> tuple[dict[str, Image], Commands]:
        """What to feed back; there is room for it now."""
        trim(self._model, self._keys, self._session.state.cache, *self._plain.layers)
        self._chunks += 1
        count = IMAGES_PER_FRAME * self._model.settings.frames
        return pictures(self._model.settings, count, seed=self._chunks), executed(self._model, self._chunks)


class Lockstep:
    """A session's trace that repeats its forwards on the plain path from the same inputs, once it was told to."""

    def __init__(self) -> None:
        self.differences: list[float] = []
        """By forward that has an output, the largest."""
        self.fast: list[Count] = []
        """By forward, with what the denoising loop does before it."""
        self.plain: list[Count] = []
        """By forward alone."""
        self._to: tuple[PlainEpisode, Operators] | None = None

    def follow(self, plain: PlainEpisode, operators: Operators) -> None:
        self._to = plain, operators

    def encoded(self, name: str, pixels: Tensor, output: Tensor) -> None:
        pass

    def called(self, call: Call) -> None:
        if self._to is None:
            return
        plain, operators = self._to
        self.fast.append(operators.taken())
        out = plain.forward(call.stream, call.input, call.times, keep="predicted" if call.kept else None)
        self.plain.append(operators.taken())
        if call.output is not None:
            self.differences.append((call.output - out[: call.rows]).abs().max().item())
        operators.taken()


def difference(fast: Floats, plain: Floats) -> tuple[float, float]:
    """The largest, and the largest / its tolerance."""
    off = np.abs(fast - plain)
    return float(off.max()), float((off / (ATOL + RTOL * np.abs(plain))).max())


def fill(episode: Session | PlainEpisode, model: LingBotVA, keys: int) -> None:
    """Play, with one denoising step, until the next feedback will be the one that makes them ``keys``."""
    settings, plans = model.settings, (model.video_plan, model.action_plan)
    shorten(model, (1, 1))
    episode.infer(pictures(settings, 1))
    model.video_plan, model.action_plan = plans
    for chunk in range(keys // chunk_tokens(settings) - 1):
        seen = settings.frames - (chunk == 0)  # the first frame of all is the first picture
        episode.feedback(pictures(settings, IMAGES_PER_FRAME * seen, seed=chunk), executed(model, chunk))


def trim(model: LingBotVA, keys: int, *stores: KeyValueCache | Slots) -> None:
    """Let the oldest keys go, so that one more chunk makes them ``keys``."""
    for store in stores:
        store.drop_predictions()
        store.make_room(model.settings.slots - keys + chunk_tokens(model.settings))


def chunk_tokens(settings: LingBotSettings) -> int:
    return settings.frames * (settings.video_tokens_per_frame + settings.commands_per_frame)


def shorten(model: LingBotVA, steps: tuple[int, int]) -> None:
    """Only so many video and action steps from now on: the first of the schedules, whose noise levels are known."""
    for name, count in zip(("video_plan", "action_plan"), steps, strict=True):
        plan = getattr(model, name)
        setattr(model, name, Schedule(plan.sigmas[:count], plan.timesteps[:count], plan.changes[:count]))


def pictures(settings: LingBotSettings, count: int, seed: int = 0) -> dict[str, Image]:
    rng, shape = np.random.default_rng(seed), (count, settings.height, settings.width, 3)
    return {name: rng.integers(0, 256, shape, dtype=np.uint8) for name in settings.cameras}


def executed(model: LingBotVA, seed: int) -> Commands:
    """Of one chunk, as if somebody had moved the robot within its range."""
    return np.asarray(model.normalisation.commands(noise(model, 1000 + seed)[1]).numpy(), np.float32)


def noise(model: LingBotVA, chunk: int) -> Noise:
    settings, shape, generator = model.settings, model.transformer.shape, torch.Generator().manual_seed(chunk)
    latents = torch.randn(1, shape.in_channels, settings.frames, *settings.latent_size, generator=generator)
    actions = torch.randn(1, shape.action_dim, settings.frames, settings.commands_per_frame, 1, generator=generator)
    return latents, actions


if __name__ == "__main__":
    sys.exit(main())
