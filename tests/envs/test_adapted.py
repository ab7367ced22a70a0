"""An environment of Gymnasium's, adapted: what it is not told, and what it ends too early."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit

from lingbot_eval.envs.adapted import Adapted
from lingbot_eval.errors import BadInput
from lingbot_eval.types import EnvSpec, columns

SPEC = EnvSpec(
    cameras={},
    columns=columns("push", "1"),
    low=(-1.0,),
    high=(1.0,),
    state=(*columns("x", "1"), *columns("speed", "1")),
    commands_per_second=30.0,
    commands_per_action=5,
    idle=(0.0,),
)
PUSH = np.zeros((5, 1), np.float32)
SCENE = {"task": "flag", "setting": "", "initial_state": None, "index": 3}


def car(limit: int, own_limit: int | None = None, kind: type[Adapted] = Adapted) -> Adapted:
    domain = gym.make("MountainCarContinuous-v0").unwrapped
    return kind(TimeLimit(domain, own_limit) if own_limit else domain, SPEC, limit, "standard")


class Steep(Adapted):
    def choose(self, setting: str, initial_state: int | None) -> None:
        self.chosen = setting, initial_state


def test_a_scene_that_only_its_seed_tells_is_played():
    assert car(20).reset(seed=1, options=SCENE)[1]["commands"] == 0
    assert car(20).reset(seed=1)[1]["commands"] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"setting": "hard"}, "Adapted knows no setting 'hard': it has no choose()"),
        ({"initial_state": 0}, "Adapted knows no initial state 0: it has no choose()"),
        ({"low": -0.1}, "option 'low'"),
    ],
)
def test_what_an_environment_is_not_told_is_refused(options, words):
    with pytest.raises(BadInput) as caught:
        car(20).reset(seed=1, options={**SCENE, **options})
    assert words in str(caught.value)


def test_an_environment_with_settings_is_told_which_one_before_each_episode():
    env = car(20, kind=Steep)
    env.reset(seed=1, options={**SCENE, "setting": "hard", "initial_state": 4})
    assert env.chosen == ("hard", 4)
    env.reset(seed=1)
    assert env.chosen == ("", None)


def test_a_limit_of_its_own_before_the_command_limit_is_an_error():
    env = car(20, own_limit=7)
    env.reset(seed=1)
    env.step(PUSH)
    with pytest.raises(BadInput, match="Adapted: the environment cut the episode off after 7 commands"):
        env.step(PUSH)
    env = car(7, own_limit=7)
    env.reset(seed=1)
    env.step(PUSH)
    *_, terminated, truncated, info = env.step(PUSH)
    assert (terminated, truncated, info["commands"]) == (False, True, 7)


def test_the_end_of_a_task_that_failed_is_no_limit():
    class Lost(Adapted):
        def succeeded(self, terminated, info):
            return False

    env = car(300, kind=Lost)
    env.reset(seed=1)
    env.domain.state = np.array([0.449, 0.07], np.float32)
    *_, terminated, truncated, info = env.step(np.ones((5, 1), np.float32))
    assert (terminated, truncated, info["commands"]) == (False, True, 1)
