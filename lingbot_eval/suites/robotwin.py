"""RoboTwin 2.0: fifty bimanual tasks, easy and hard, from a checkout of the benchmark's code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lingbot_eval.envs.robotwin.groups import GROUPS
from lingbot_eval.envs.robotwin.spec import env_spec
from lingbot_eval.envs.robotwin.tasks import TASKS
from lingbot_eval.settings import EnvSettings, Protocol, SimulatorSettings, SuiteSettings
from lingbot_eval.settings.robotwin import RoboTwinProtocol, RoboTwinSettings
from lingbot_eval.settings.tabletop import TabletopSettings
from lingbot_eval.suites.paper import Paper
from lingbot_eval.suites.suite import Asked, Command, Scenes, Suite, Task
from lingbot_eval.types import Episode, Info

if TYPE_CHECKING:
    from lingbot_eval.episode import Env
    from lingbot_eval.suites.machine import Machine

EXPERT = "lingbot_eval.agents.experts.rehearsed:Rehearsed"

BIMANUAL_AGENTS = {"lingbot-va": "lingbot-va-bimanual"}
"""LingBot-VA plays two arms with the settings and the checkpoint of its RoboTwin results."""

SEEN_ONLY = {"protocol.instructions.easy": "seen", "protocol.instructions.hard": "seen"}
"""Unseen sentences are for evaluation alone."""

COMMANDS = "what an agent's commands come to; before 2 they were rounded (docs/pitfalls.md)"


def make_env(settings: EnvSettings) -> Env:
    from lingbot_eval.envs.robotwin.env import RoboTwinEnv  # needs the robotwin or tabletop extra
    from lingbot_eval.envs.robotwin.relative import RelativePose

    env = RoboTwinEnv(settings)
    return RelativePose(env) if env.protocol.commands == "relative" else env


def plan(suite: Suite, asked: Asked) -> list[Episode]:
    from lingbot_eval.suites.scenes import plan_from_scenes

    return plan_from_scenes(suite, asked)


def scenes(suite: Suite, asked: SuiteSettings, protocol: Protocol) -> list[tuple[str, str]]:
    from lingbot_eval.suites.scenes import wanted_scenes

    return [(want.task, want.setting) for want in wanted_scenes(suite, Asked(asked, protocol))]


def look_around(simulator: SimulatorSettings, draws: bool, wanted: Scenes) -> Machine:
    from lingbot_eval.envs.robotwin.check import look_at
    from lingbot_eval.suites.machine import Machine, installed, python_versions

    assert isinstance(simulator, RoboTwinSettings | TabletopSettings)  # noqa: S101  (those of both suites)
    resolved, facts, notes, frame = look_at(simulator, draws, wanted)
    said = (frame.slow,) if frame and frame.slow else ()
    return Machine(resolved, facts, {**python_versions(), **installed("torch", "toppra"), **notes}, said)


def absolute(protocol: Protocol, first: Info, command: Command) -> Command:
    """Return the command in the world frame: a relative one is composed with the episode's first pose, which the info
    of its reset holds."""
    from lingbot_eval.envs.robotwin import poses

    if own(protocol).commands == "absolute":
        return command
    return poses.absolute(first["first_pose"], command).astype(np.float32)


def own(protocol: Protocol) -> RoboTwinProtocol:
    assert isinstance(protocol, RoboTwinProtocol)  # noqa: S101  (the suite's own)
    return protocol


def _command_limit(protocol: Protocol, task: Task) -> int:
    return own(protocol).command_limit or TASKS[task[1]].command_limit


SUITE = Suite(
    name="robotwin",
    title="RoboTwin",
    tasks={"robotwin": tuple(TASKS)},
    protocol=RoboTwinProtocol,
    simulator=RoboTwinSettings,
    make_env=make_env,
    env_spec=env_spec,
    plan=plan,
    command_limit=_command_limit,
    look_around=look_around,
    default_protocol="lingbot-va",
    default_agent="lingbot-va",
    expert=EXPERT,
    settings=("easy", "hard"),
    groups=GROUPS,
    agent_presets=BIMANUAL_AGENTS,
    post_training="robotwin",
    paper=Paper(
        "RoboTwin 2.0",
        {"easy": "Easy", "hard": "Hard"},
        horizons={name: task.horizon for name, task in TASKS.items()},
        horizons_of="LingBot-VA's",
    ),
    commands_per_action=4,
    scenes=scenes,
    expert_finds_scenes=True,
    instead="run-suite tabletop needs no checkout, no assets and no checkpoint",
    places={"robotwin": ("root", "a RoboTwin checkout, as env.root")},
    absolute=absolute,
    to_collect=SEEN_ONLY,
    moves_a_score={"facts.bimanual-commands": COMMANDS},
)
