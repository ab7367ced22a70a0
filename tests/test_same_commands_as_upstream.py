"""Our loop sends the commands, and shows the agent the frames, that LingBot-VA's two clients do.

The clients' loops are retold here from reading `evaluation/robotwin/eval_polict_client_openpi.py` and
`evaluation/libero/client.py` (robbyant/lingbot-va 7c6ffa9), over a fake scene that only counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np
import pytest

from lingbot_eval.episode import run_episode
from lingbot_eval.suites import load_protocol
from lingbot_eval.types import Episode, Outcome


@dataclass
class Scene:
    """Succeeds at command number ``goal``; ignores commands once it is done or out of budget."""

    goal: int
    limit: int
    commands: list[int] = field(default_factory=list)

    def send(self, command: int) -> None:
        if not (self.done or self.late):
            self.commands.append(command)

    @property
    def done(self) -> bool:
        return len(self.commands) >= self.goal

    @property
    def late(self) -> bool:
        return len(self.commands) >= self.limit


def chunk(index: int, frames: int, width: int) -> np.ndarray:
    """(F, A) distinct command numbers for the ``index``-th prediction."""
    return index * 1000 + np.arange(frames * width).reshape(frames, width)


def upstream(scene: Scene, frames: int, width: int, stop_at_success: bool, limit: int, settle: int):
    """Commands sent, and the frames committed before each prediction after the first."""
    committed, index = [], 0
    while settle + len(scene.commands) < limit:
        seen = []
        for i in range(1 if index == 0 else 0, frames):
            for j in range(width):
                scene.send(chunk(index, frames, width)[i, j])
                if stop_at_success and scene.done:
                    return scene.commands, committed
                if (j + 1) % (width // 4) == 0:
                    seen.append(len(scene.commands))
        if scene.done or settle + len(scene.commands) >= limit:
            return scene.commands, committed
        committed.append(seen)
        index += 1
    return scene.commands, committed


class BlockEnv(gym.Env):
    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def reset(self, *, seed=None, options=None):
        return 0, self._info()

    def step(self, action):
        for command in action[:, 0]:
            self.scene.send(int(command))
        done, sent = self.scene.done, len(self.scene.commands)
        return sent, 0.0, done, self.scene.late and not done, self._info()

    def _info(self):
        return {"commands": len(self.scene.commands), "progress": 0, "max_progress": 0, "out_of_bounds": 0}


class Chunks:
    """Hands out the same numbered commands, four looks per latent frame, K commands per look."""

    def __init__(self, frames: int, width: int) -> None:
        self.frames, self.width = frames, width

    def reset(self, instruction, *, seed):
        self.index, self.committed = 0, []

    def act(self, frames):
        if self.index:
            self.committed.append(frames)
        commands = chunk(self.index, self.frames, self.width)[0 if self.index else 1 :]
        self.index += 1
        return commands.reshape(-1, self.width // 4, 1)


def ours(scene: Scene, frames: int, width: int):
    agent = Chunks(frames, width)
    record = run_episode(BlockEnv(scene), agent, Episode("fake", "count", 0, ""))
    assert (record.outcome is Outcome.SUCCESS) == scene.done
    assert record.commands == len(scene.commands)
    return scene.commands, agent.committed


@pytest.mark.parametrize("goal", [1, 15, 16, 17, 48, 50, 399, 400, 10_000])
def test_robotwin(goal):
    theirs = upstream(Scene(goal, 400), 2, 16, stop_at_success=False, limit=400, settle=0)
    assert ours(Scene(goal, 400), 2, 16) == theirs


@pytest.mark.parametrize("suite", ["libero_spatial", "libero_object", "libero_goal", "libero_10"])
@pytest.mark.parametrize("goal", [1, 12, 13, 28, 795, 796, 10_000])
def test_libero(goal, suite):
    """The client's `timestep < 800` counts 5 settling commands and is asked between chunks: 5 + 12 + 49 * 16 = 801."""
    protocol = load_protocol("libero", "lingbot-va")
    theirs = upstream(Scene(goal, 10**9), 4, 4, stop_at_success=True, limit=800, settle=protocol.warmup_count)
    assert ours(Scene(goal, protocol.command_limit[suite]), 4, 4) == theirs
