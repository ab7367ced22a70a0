"""A training, from its settings to what comes out: the whole in one function."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch

from lingbot_eval.errors import BadInput
from lingbot_eval.exports.rated import keep_rates
from lingbot_eval.models.lingbot_va.loading import load_transformer
from lingbot_eval.models.lingbot_va.training import Trainable
from lingbot_eval.runs import contents
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.settings.train import TrainSettings
from lingbot_eval.training import lora, outcome, playing
from lingbot_eval.training.directory import Directory
from lingbot_eval.training.learner import Learner
from lingbot_eval.training.loop import Loop
from lingbot_eval.training.preparing import Prepared, prepare
from lingbot_eval.training.ranks import Ranks, joined
from lingbot_eval.training.sharding import grouped
from lingbot_eval.training.told import Tell


def train(settings: TrainSettings, tell: Tell) -> Directory:
    """Train as ``settings`` say, from wherever ``settings.out`` stands; return the folder. With torchrun, every process
    calls this; ``tell`` is called in the first one alone.

    Raises BadInput, NotReady, RunMismatch, Taken, CorruptRecords and Diverged, each with one line; KeyboardInterrupt
    where it was asked to end, after its state was saved.
    """
    directory = Directory(Path(settings.out))
    with joined(settings.device, grouped(settings)) as ranks, contextlib.ExitStack() as held:
        prepared = prepare(settings, ranks)
        if ranks.first:
            held.enter_context(directory.alone())
            directory.open(settings, prepared.contents())
        ranks.meet()
        learner = made(prepared, ranks)
        training = _Training(prepared, directory, ranks)
        loop = training.loop = Loop(prepared, directory, learner, ranks, tell, training.play)
        held.callback(loop.close)
        loop.run()
        outcome.write(prepared, directory, learner, loop.step, loop.last)
        ranks.meet()
    return directory


def made(prepared: Prepared, ranks: Ranks) -> Learner:
    """Load what is trained on, with adapters where they are asked for."""
    settings = prepared.settings
    transformer = load_transformer(prepared.base, torch.float32, ranks.device)
    transformer.train()
    if settings.lora.rank:
        lora.adapt(transformer, settings.lora, settings.seed)
    return Learner(Trainable(transformer, settings.attention, settings.compile), settings, ranks)


class _Training:
    """Plays what has been learnt so far, when the loop says so."""

    loop: Loop

    def __init__(self, prepared: Prepared, directory: Directory, ranks: Ranks) -> None:
        self._prepared, self._directory, self._ranks = prepared, directory, ranks

    def play(self, step: int, learner: Learner) -> dict[str, Any] | None:
        """Write the checkpoint and play it in a process of its own; the other processes wait."""
        outcome.write(self._prepared, self._directory, learner, step, self.loop.last)
        if not self._ranks.first:
            self._ranks.meet()
            return None
        settings = self._prepared.settings
        asked = playing.Asked(
            play=settings.play,
            checkpoint=str(self._directory.checkpoint),
            folder=str(self._directory.plays / f"step-{step:08d}"),
            data=settings.data,
            robot=settings.robot,
            item=self.loop.shown,
        )
        answer = playing.play(asked)
        with contextlib.suppress(BadInput):  # another agent, or other sampling: the curve alone has its rates
            keep_rates(self._directory.checkpoint, [contents.read(RunDirectory(playing.run_of(asked)))])
        self._ranks.meet()
        return answer
