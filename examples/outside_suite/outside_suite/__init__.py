"""A benchmark from outside: Gymnasium's MountainCarContinuous-v0, a car in a valley that is too weak to drive straight
up. ``run-suite mountain-car`` plays it once this distribution is installed."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np

from lingbot_eval.envs.adapted import Adapted
from lingbot_eval.settings import EnvSettings
from lingbot_eval.suites.paper import Paper
from lingbot_eval.suites.suite import Suite, limit_of_protocol, needs
from lingbot_eval.types import EnvSpec, columns

GOALS = {"reach_the_ledge": 0.1, "reach_the_flag": 0.45}
"""How far each task is, in the car's own units; the valley's floor is at -0.5."""

SIZE = (64, 64)


def env_spec(settings: EnvSettings) -> EnvSpec:
    """What the environment speaks; it is known before one is made."""
    return EnvSpec(
        cameras={"head": SIZE} if settings.cameras else {},
        columns=columns("push", "1 = full throttle to the right"),
        low=(-1.0,),
        high=(1.0,),
        state=(*columns("x", "1"), *columns("speed", "1 per command")),
        commands_per_second=30.0,
        commands_per_action=settings.commands_per_action,
        idle=(0.0,),
    )


class Car(Adapted):
    """The car; its picture is drawn here, because Gymnasium's own needs pygame."""

    def __init__(self, settings: EnvSettings) -> None:
        car = gym.make("MountainCarContinuous-v0").unwrapped  # without Gymnasium's own limit of 999 commands
        limit = limit_of_protocol(settings.protocol, (settings.suite, settings.task, ""))
        self._goal = GOALS[settings.task]
        super().__init__(car, env_spec(settings), limit, settings.protocol.name, settings.render)

    def look(self, observation):
        return {"images": {name: self.render() for name in self.env_spec.cameras}, "state": np.float32(observation)}

    def succeeded(self, terminated, info):
        return bool(self.domain.state[0] >= self._goal)

    def render(self):
        picture = np.full((*SIZE, 3), 235, np.uint8)
        for x, colour in [(self._goal, (60, 160, 80)), (self.domain.state[0], (40, 40, 40))]:
            column, row = int(4 + 56 * (x + 1.2) / 1.8), int(56 - 48 * (np.sin(3 * x) + 1) / 2)
            picture[row - 3 : row + 3, column - 3 : column + 3] = colour
        return picture


class Swing:
    """The expert pushes the way the car is rolling, which rocks it up."""

    def __init__(self, car) -> None:
        self._car = car

    def reset(self) -> None:
        pass

    def command(self):
        return np.array([1.0 if self._car.state[1] >= 0 else -1.0], np.float32)


SUITE = Suite(
    name="mountain-car",
    title="MountainCar",
    tasks={"mountain-car": tuple(GOALS)},
    instructions={"reach_the_flag": "drive up to the flag"},  # the other is told by its name: reach the ledge
    protocols={"standard": {"command_limit": 300}},
    make_env=Car,
    env_spec=env_spec,
    look_around=needs("gymnasium", "outside-suite"),
    expert="outside_suite:Swing",
    moves_a_score={"facts.gymnasium": "the car's physics are Gymnasium's"},
    paper=Paper("Mountain car", {"mountain-car": "Car"}, published=Path(__file__).parent),
)
