"""Tabletop: this package's own eight bimanual tasks in SAPIEN. They speak RoboTwin's contract and need no download."""

from __future__ import annotations

from lingbot_eval.envs import tabletop
from lingbot_eval.envs.robotwin.spec import env_spec
from lingbot_eval.settings import Protocol
from lingbot_eval.settings.tabletop import TabletopProtocol, TabletopSettings
from lingbot_eval.suites import robotwin
from lingbot_eval.suites.suite import Suite, Task


def _command_limit(protocol: Protocol, task: Task) -> int:
    return robotwin.own(protocol).command_limit or tabletop.command_limit(task[1])


SUITE = Suite(
    name="tabletop",
    title="Tabletop",
    tasks={"tabletop": tabletop.TASKS},
    protocol=TabletopProtocol,
    simulator=TabletopSettings,
    make_env=robotwin.make_env,
    env_spec=env_spec,
    plan=robotwin.plan,
    command_limit=_command_limit,
    look_around=robotwin.look_around,
    default_protocol="tabletop",
    default_agent="expert",
    expert=robotwin.EXPERT,
    settings=("easy", "hard"),
    agent_presets=robotwin.BIMANUAL_AGENTS,
    post_training="robotwin",
    commands_per_action=4,
    scenes=robotwin.scenes,
    expert_finds_scenes=True,
    absolute=robotwin.absolute,
    wordings=tabletop.wordings,
    to_collect=robotwin.SEEN_ONLY,
    moves_a_score={"facts.bimanual-commands": robotwin.COMMANDS},
)
