"""A checkpoint that is played without one of the things that it plays by.

    run-suite tabletop --agent examples/train_tabletop/ablated.py:Unseeing agent.options.checkpoint=DIR
    run-suite tabletop --agent examples/train_tabletop/ablated.py:Misled agent.options.checkpoint=DIR

Without denoising, and with fewer steps, is a setting of the agent itself: agent.lingbot.settings.video_exec_step=1.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lingbot_eval.agents.lingbot_va.session import Session, to_actions
from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.envs import tabletop
from lingbot_eval.envs.tabletop.appearance import COLOURS
from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.own_file import read_own
from lingbot_eval.types import Actions, EnvSpec, Observation


class Unseeing:
    """Sees the first picture alone: what it imagined stands for what came, chunk after chunk."""

    commands_per_action = 1

    def __init__(self, spec: EnvSpec, checkpoint: Path) -> None:
        self._sessions = _sessions(checkpoint, spec)
        self._session = self._sessions.new(open_loop=True)

    def reset(self, instruction: str, *, seed: int) -> None:
        self._session.reset(instruction, seed=seed)

    def act(self, frames: Sequence[Observation]) -> Actions:
        if self._session.state.chunk < 0:  # the first chunk is the picture itself
            self._session.infer({name: image[None] for name, image in frames[0]["images"].items()})
        settings = self._sessions.model.settings
        return to_actions(self._session.infer().commands, settings.commands_per_look)


class Misled:
    """Is told what to do in another episode: any task's, about any colour, with any arm."""

    commands_per_action = 1

    def __init__(self, spec: EnvSpec, checkpoint: Path) -> None:
        self._session: Session = _sessions(checkpoint, spec).new()

    def reset(self, instruction: str, *, seed: int) -> None:
        dice = np.random.default_rng([seed, 3])
        task = str(dice.choice(tabletop.TASKS))
        one, two, three = dice.permutation(list(COLOURS))[:3]
        arms = dice.permutation(["left", "right"])
        info = {"{A}": f"{one} block", "{B}": f"{two} block", "{C}": f"{three} block", "{a}": arms[0], "{b}": arms[1]}
        self._session.reset(str(dice.choice(tabletop.sentences(task, info)["seen"])), seed=seed)

    def act(self, frames: Sequence[Observation]) -> Actions:
        return self._session.act(frames)


def _sessions(checkpoint: Path, spec: EnvSpec) -> Sessions:
    own = read_own(checkpoint)
    if own is None:
        raise BadInput(f"{checkpoint} says no settings of its own: it was not trained by lingbot-eval train")
    sessions = Sessions.from_pretrained(str(checkpoint), own.settings, dtype="float32")
    sessions.check_env(spec)
    return sessions
