"""All that changes in an optimizer step: weights, moments, and the average of the weights."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from lingbot_eval.errors import Diverged
from lingbot_eval.models.lingbot_va.noising import Noised
from lingbot_eval.models.lingbot_va.training import Losses, Trainable
from lingbot_eval.settings.train import TrainSettings
from lingbot_eval.training import optimizer as schedules
from lingbot_eval.training.batches import moved
from lingbot_eval.training.ranks import Ranks
from lingbot_eval.training.sharding import lay_out, named, plain_name, whole

LEVELS = 4
"""Losses are told for so many ranges of noise levels, from the least noise to the most."""

LARGEST_LEVEL = 1000.0


@dataclass
class Sums:
    """Sums over micro-batches, and per stream over frames by noise level."""

    batches: float = 0.0
    items: float = 0.0
    video: float = 0.0
    action: float = 0.0
    levels: dict[str, list[float]] = field(default_factory=lambda: {"video": [0.0] * LEVELS, "action": [0.0] * LEVELS})
    frames: dict[str, list[float]] = field(default_factory=lambda: {"video": [0.0] * LEVELS, "action": [0.0] * LEVELS})

    def add(self, losses: Losses, items: int) -> None:
        self.batches += 1
        self.items += items
        self.video += float(losses.video.detach())
        self.action += float(losses.action.detach())
        self._by_level("video", losses.video_frames, losses.video_times)
        self._by_level("action", losses.action_frames, losses.action_times)

    def _by_level(self, stream: str, values: Tensor, times: Tensor) -> None:
        learnt = times > 0
        places = (times[learnt] / LARGEST_LEVEL * LEVELS).long().clamp(0, LEVELS - 1).cpu()
        found = torch.zeros(LEVELS, dtype=torch.float64).index_add_(0, places, values[learnt].double().cpu())
        counts = torch.bincount(places, minlength=LEVELS).tolist()
        self.levels[stream] = [a + b for a, b in zip(self.levels[stream], found.tolist(), strict=True)]
        self.frames[stream] = [a + b for a, b in zip(self.frames[stream], counts, strict=True)]

    def together(self, ranks: Ranks) -> Sums:
        """Return the sums over all processes."""
        flat = [self.batches, self.items, self.video, self.action]
        parts = [*self.levels.values(), *self.frames.values()]
        found = ranks.summed([*flat, *(value for part in parts for value in part)])
        lists = [found[4 + n * LEVELS : 4 + (n + 1) * LEVELS] for n in range(4)]
        streams = ("video", "action")
        levels, frames = dict(zip(streams, lists[:2], strict=True)), dict(zip(streams, lists[2:], strict=True))
        batches, items, video, action = found[:4]
        return Sums(batches, items, video, action, levels, frames)

    def told(self) -> dict[str, Any]:
        """Return means, as the curve has them."""
        by_level = {
            stream: [
                round(total / count, 6) if count else None
                for total, count in zip(self.levels[stream], self.frames[stream], strict=True)
            ]
            for stream in self.levels
        }
        means = {"video": self.video / self.batches, "action": self.action / self.batches}
        return {**means, "items": int(self.items), "levels": by_level}


class Learner:
    """Holds a model that learns, on this process and with others."""

    def __init__(self, trainable: Trainable, settings: TrainSettings, ranks: Ranks) -> None:
        self._settings, self._ranks = settings, ranks
        lay_out(trainable, settings, ranks)
        self.module = trainable
        self.parameters = named(trainable)
        self._adamw = schedules.adamw(self.parameters, settings.optimizer)
        decay = settings.optimizer.average
        self._average = None if decay is None else schedules.Average(self.parameters, decay)
        self._moments()

    def learn(self, step: int, batches: Sequence[Noised]) -> tuple[Sums, float, float]:
        """Take optimizer step ``step``, from 0, on this process's micro-batches; return what all processes computed,
        the gradient's norm before clipping, and the rate.

        Raises Diverged, and changes nothing, where a loss or the norm is no number.
        """
        rate = schedules.rate(self._settings.optimizer, step, self._settings.steps)
        schedules.set_rate(self._adamw, rate)
        sums = Sums()
        for number, batch in enumerate(batches):
            if isinstance(self.module, FSDPModule):
                self.module.set_requires_gradient_sync(number == len(batches) - 1)
            losses = self._forward(batch)
            (losses.total / len(batches)).backward()  # type: ignore[no-untyped-call]
            sums.add(losses, len(batch.texts))
        sums = sums.together(self._ranks)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self._settings.optimizer.clip)
        size = float(whole(norm))
        if not all(map(math.isfinite, (sums.video, sums.action, size))):
            self._adamw.zero_grad()
            raise Diverged(
                f"step {step}: video loss {sums.video:g}, action loss {sums.action:g}, gradient norm {size:g}"
            )
        self._adamw.step()
        self._adamw.zero_grad()
        if self._average is not None:
            self._average.follow(step + 1)
        return sums, size, rate

    @torch.no_grad()
    def look(self, batches: Iterable[tuple[Noised, bool]]) -> Sums:
        """Return the losses of micro-batches; those that do not count are computed all the same, as every process has
        to compute as many as the others."""
        sums = Sums()
        for batch, counts in batches:
            losses = self._forward(batch)
            if counts:
                sums.add(losses, len(batch.texts))
        if isinstance(self.module, FSDPModule):
            self.module.reshard()  # or what a forward alone gathered, perhaps in bfloat16, stays in the weights' place
        return sums.together(self._ranks)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the average of the weights be the weights, where there is one."""
        if self._average is None:
            yield
            return
        self._average.exchange()
        try:
            yield
        finally:
            self._average.exchange()

    def weights(self) -> dict[str, Tensor]:
        """Return all weights whole, on the CPU, by their names in the transformer; all processes call this, and the
        first alone gets them."""
        found = {}
        for name, value in self.module.named_parameters():
            full = whole(value.detach()).to("cpu", copy=True)
            if self._ranks.first:
                found[plain_name(name)] = full
        return found

    def tensors(self) -> dict[str, Tensor]:
        """Return all that a training goes on from, by name; the optimizer's count of steps is the state's."""
        found: dict[str, Tensor] = {}
        for name, value in self.parameters.items():
            found[f"weights.{name}"] = value.detach()
            moments = self._adamw.state[value]
            found[f"first.{name}"], found[f"second.{name}"] = moments["exp_avg"], moments["exp_avg_sq"]
            if self._average is not None:
                found[f"average.{name}"] = self._average.values[name]
        return found

    def resume(self, step: int) -> None:
        """Say that ``step`` steps are done, now that :meth:`tensors` were filled."""
        for value in self.parameters.values():
            self._adamw.state[value]["step"].fill_(float(step))

    def _moments(self) -> None:
        """Make the moments now, as the first step would."""
        for value in self.parameters.values():
            count = torch.zeros((), dtype=torch.float32, device=self._ranks.device)
            zeros = (torch.zeros_like(value.detach()) for _ in range(2))
            self._adamw.state[value] = dict(zip(("step", "exp_avg", "exp_avg_sq"), (count, *zeros), strict=True))

    def _forward(self, batch: Noised) -> Losses:
        """Compute as precision says."""
        device, half = self._ranks.device, self._settings.precision == "autocast"
        cast = torch.autocast(device.type, torch.bfloat16, enabled=half)
        with self._compiled_or_not(len(batch.texts)), cast, warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Mismatch dtype between input and weight", UserWarning
            )  # autocast's norms
            losses: Losses = self.module(moved(batch, device))
        return losses

    def _compiled_or_not(self, items: int) -> contextlib.AbstractContextManager[object]:
        """Let only full micro-batches that are learnt from be compiled, which are of one shape."""
        if not self._settings.compile or (torch.is_grad_enabled() and items == self._settings.batch):
            return contextlib.nullcontext()
        eager: contextlib.AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
        return eager
