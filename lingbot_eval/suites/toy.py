"""The toy benchmark, for checking an installation: two tasks, no simulator to install."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lingbot_eval.envs.toy.spec import env_spec
from lingbot_eval.envs.toy.tasks import TASKS
from lingbot_eval.settings import EnvSettings, Protocol, SimulatorSettings
from lingbot_eval.settings.toy import ToyProtocol, ToySettings
from lingbot_eval.suites.suite import Asked, Scenes, Suite, Task, by_seed
from lingbot_eval.types import Episode

if TYPE_CHECKING:
    from lingbot_eval.episode import Env
    from lingbot_eval.suites.machine import Machine


def _make_env(settings: EnvSettings) -> Env:
    from lingbot_eval.envs.toy.env import ReachEnv

    return ReachEnv(settings)


def _plan(suite: Suite, asked: Asked) -> list[Episode]:
    return by_seed(suite, asked, lambda part, task: TASKS[task])


def _command_limit(protocol: Protocol, task: Task) -> int:
    assert isinstance(protocol, ToyProtocol)  # noqa: S101  (the suite's own)
    return protocol.command_limit


def _look_around(simulator: SimulatorSettings, draws: bool, scenes: Scenes) -> Machine:
    from lingbot_eval.suites.machine import needs_nothing

    return needs_nothing(simulator, draws, scenes)


SUITE = Suite(
    name="toy",
    title="Toy",
    tasks={"toy": tuple(TASKS)},
    protocol=ToyProtocol,
    simulator=ToySettings,
    make_env=_make_env,
    env_spec=env_spec,
    plan=_plan,
    command_limit=_command_limit,
    look_around=_look_around,
    default_protocol="toy",
    default_agent="expert",
    expert="lingbot_eval.envs.toy.expert:Pusher",
    moves_a_score={"settings.env.faults": "faults that the toy environment shows on purpose"},
)
