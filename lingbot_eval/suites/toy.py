"""The toy benchmark, for checking an installation: two tasks, no simulator to install."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lingbot_eval.envs.toy.spec import env_spec
from lingbot_eval.envs.toy.tasks import TASKS
from lingbot_eval.settings import EnvSettings
from lingbot_eval.settings.toy import ToyProtocol, ToySettings
from lingbot_eval.suites.suite import Suite

if TYPE_CHECKING:
    from lingbot_eval.episode import Env


def _make_env(settings: EnvSettings) -> Env:
    from lingbot_eval.envs.toy.env import ReachEnv

    return ReachEnv(settings)


SUITE = Suite(
    name="toy",
    title="Toy",
    tasks={"toy": tuple(TASKS)},
    instructions=TASKS,
    protocol=ToyProtocol,
    simulator=ToySettings,
    make_env=_make_env,
    env_spec=env_spec,
    default_protocol="toy",
    default_agent="expert",
    expert="lingbot_eval.envs.toy.expert:Pusher",
    moves_a_score={"settings.env.faults": "faults that the toy environment shows on purpose"},
)
