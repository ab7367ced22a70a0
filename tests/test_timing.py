"""Where an episode's seconds go."""

from __future__ import annotations

import time

import numpy as np
import pytest

from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.episode import run_episode
from lingbot_eval.timing import TimedAgent, TimedEnv, spent
from lingbot_eval.types import Episode
from tests.conftest import toy

EPISODE = Episode("toy", "reach", 3, "go to the mark")


class Slow(ReachEnv):
    def step(self, action):
        time.sleep(0.02)
        return super().step(action)


class Waiting:
    """Thinks for 50 ms per action, 40 of them waiting for somebody else."""

    def reset(self, instruction, *, seed):
        self.waited = 0.0

    def act(self, frames):
        time.sleep(0.05)
        self.waited += 0.04
        return np.full((1, 1, 1), 0.1, np.float32)


def test_model_simulator_and_waiting_make_up_the_episode():
    env, agent = TimedEnv(Slow(toy())), TimedAgent(Waiting())
    for _ in range(2):  # each episode begins anew
        record = run_episode(env, agent, EPISODE)
        found = spent(env, agent)
        assert found.waiting == pytest.approx(record.commands * 0.04)
        assert found.model >= record.commands * 0.0099
        assert found.simulator >= record.commands * 0.02
        total = found.model + found.waiting + found.simulator
        assert record.seconds - 0.1 < total <= record.seconds
