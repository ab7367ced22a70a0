"""One optimizer step after another: what is learnt, looked at, saved and played in between."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from lingbot_eval.errors import CorruptRecords, Diverged
from lingbot_eval.models.lingbot_va.noising import Noised
from lingbot_eval.training import state
from lingbot_eval.training.batches import Batches, tokens
from lingbot_eval.training.curve import Curve
from lingbot_eval.training.directory import Directory
from lingbot_eval.training.learner import Learner
from lingbot_eval.training.memory import utilisation
from lingbot_eval.training.order import Order, evenly
from lingbot_eval.training.preparing import Prepared
from lingbot_eval.training.ranks import Ranks
from lingbot_eval.training.told import Tell, Told

Played = Callable[[int, Learner], dict[str, Any] | None]
"""Plays with the weights after so many steps; all processes call it, and the first one's answer goes to the curve."""


class Loop:
    """Trains in ``directory`` from wherever it stands."""

    def __init__(
        self, prepared: Prepared, directory: Directory, learner: Learner, ranks: Ranks, tell: Tell, play: Played
    ) -> None:
        self._settings, self._ranks, self._tell, self._play = prepared.settings, ranks, tell, play
        self._directory, self._learner = directory, learner
        self._batches = Batches(prepared.items, self._settings)
        self._order, self._held_out = split(prepared)
        self._thread = ThreadPoolExecutor(1)
        self.step, lines = self._resumed()
        self._curve = Curve(directory.curve, lines) if ranks.first else None

    @property
    def last(self) -> dict[str, Any]:
        """Return the last lines of the curve by what they tell; only in the first process."""
        known = self._curve.known if self._curve else []
        return {key: line for line in known for key in ("video", "held_out") if key in line}

    @property
    def shown(self) -> int:
        """Return the item that films show: the first that is held out, or else the first."""
        return self._held_out[0][0] if self._held_out else 0

    def run(self) -> None:
        """Take all steps that are left. Raises Diverged and NotReady; the last good state is kept then, and
        KeyboardInterrupt, after a state was saved, where the process was asked to end."""
        if self.step and self._due(self._every_play()):
            self._after_play()
        with self._thread, _Interrupts() as interrupts:
            ahead = self._ahead(self.step)
            while self.step < self._settings.steps:
                batches, ahead = ahead.result(), self._ahead(self.step + 1)
                self._learn(batches)
                if self._due(self._settings.held_out.every) and self._held_out:
                    self._append({"step": self.step, "held_out": self._looked()})
                stopping = any(self._ranks.summed([float(interrupts.asked)]))
                if stopping or self._due(self._settings.save_every) or self._due(self._every_play()):
                    self.save()
                if stopping:
                    raise KeyboardInterrupt
                if self._due(self._every_play()):
                    self._after_play()

    def save(self) -> None:
        """Keep all that the training goes on from."""
        lines = self._ranks.told(self._curve.lines if self._curve else 0)
        state.save(self._directory.state, self.step, lines, self._learner.tensors(), self._ranks)

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)
        if self._curve:
            self._curve.close()

    def _learn(self, batches: Sequence[Noised]) -> None:
        start = time.perf_counter()
        try:
            sums, norm, rate = self._learner.learn(self.step, batches)
        except Diverged as error:
            kept = state.saved(self._directory.state)
            stands = f"{kept[0].folder} is kept" if kept else "no state was saved yet"
            raise Diverged(f"{error}; {stands}: try a lower optimizer.rate, or look at the data") from None
        self.step += 1
        read = sum(self._ranks.summed([float(sum(map(tokens, batches)))]))
        line = {"step": self.step, **sums.told(), "norm": norm, "rate": rate}
        self._append(line, time.perf_counter() - start, read)

    def _append(self, line: dict[str, Any], seconds: float = 0.0, read: float = 0.0) -> None:
        if self._curve:
            self._curve.append(line)
            self._tell(Told(self.step, line, seconds, read, *self._of_the_gpu(seconds, read)))

    def _of_the_gpu(self, seconds: float, read: float) -> tuple[float, float | None]:
        """Return the memory that was used, in GB, and the share of the peak."""
        device = self._ranks.device
        if device.type != "cuda":
            return 0.0, None
        share = None
        if seconds:
            parameters = sum(value.numel() for value in self._learner.module.transformer.blocks.parameters())
            name, each = torch.cuda.get_device_name(device), read / self._ranks.count
            share = utilisation(name, parameters, each, seconds)
        return torch.cuda.max_memory_allocated(device) / 1e9, share

    def _due(self, every: int) -> bool:
        """Say whether something is to be done now that comes every so many steps, and at the end."""
        return bool(every) and (self.step % every == 0 or self.step == self._settings.steps)

    def _every_play(self) -> int:
        return self._settings.play.every

    def _after_play(self) -> None:
        line = self._play(self.step, self._learner)
        if line is not None:
            self._append({"step": self.step, "played": line})

    def _ahead(self, step: int) -> Future[list[Noised]]:
        """Read and noise this process's micro-batches of a step while the one before is learnt from."""
        return self._thread.submit(self._mine, step)

    def _mine(self, step: int) -> list[Noised]:
        if step >= self._settings.steps:
            return []
        count = self._settings.micro_batches
        numbers = range(step * count + self._ranks.rank, (step + 1) * count, self._ranks.count)
        return [self._batches.drawn(self._order.items(number), number) for number in numbers]

    def _looked(self) -> dict[str, Any]:
        with self._learner.averaged():
            return self._learner.look(self._to_look_at()).told()

    def _to_look_at(self) -> Iterator[tuple[Noised, bool]]:
        """Yield this process's part of the held-out items, under the same noise every time. Where they cannot be shared
        out evenly, some processes compute one twice."""
        count = self._ranks.count
        for start in range(0, len(self._held_out), count):
            number = start + self._ranks.rank
            counts = number < len(self._held_out)
            number = number if counts else 0
            yield self._batches.plain(self._held_out[number], "held out", number), counts

    def _resumed(self) -> tuple[int, int]:
        """Fill the learner from the newest state; return the steps that are done, and the lines of their curve."""
        known = state.saved(self._directory.state)
        if not known:
            return 0, 0
        newest = known[0]
        if newest.step > self._settings.steps:
            raise CorruptRecords(f"{newest.folder} has more steps than steps={self._settings.steps}")
        tensors = self._learner.tensors()
        state.load(newest, tensors)
        self._learner.resume(newest.step)
        return newest.step, newest.lines


def split(prepared: Prepared) -> tuple[Order, list[list[int]]]:
    """Return the order of what is trained on, and micro-batches of what is held out."""
    items, settings, apart = prepared.items, prepared.settings, prepared.held_out()
    lengths = {n: items.frames(n) for n in range(len(items))}
    looked_at = sorted(apart)
    groups, longest = dict[int, list[int]](), settings.noising.longest
    for n in evenly(looked_at, settings.held_out.most):
        groups.setdefault(min(lengths[n], longest or lengths[n]), []).append(n)
    size = settings.batch
    batches = [group[at : at + size] for group in groups.values() for at in range(0, len(group), size)]
    learnt = {n: length for n, length in lengths.items() if n not in apart}
    return Order(learnt, settings.batch, settings.seed, settings.balance, longest), batches


class _Interrupts(contextlib.AbstractContextManager["_Interrupts"]):
    """Hears SIGINT and SIGTERM, in the main thread: the step is finished and a state saved. A second SIGINT raises
    KeyboardInterrupt at once."""

    def __enter__(self) -> _Interrupts:
        self.asked = False
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _ask(self, number: int, frame: object) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
