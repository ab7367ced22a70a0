"""RoboTwin and tabletop for ``gymnasium.make``."""

from __future__ import annotations

import math
from importlib import resources
from typing import Any, Literal

import msgspec
import yaml

from lingbot_eval.envs.check import inspect
from lingbot_eval.envs.remote import RemoteEnv, default_limits
from lingbot_eval.settings import EnvSettings, RoboTwinProtocol, SimulatorSettings, as_struct, load_protocol


def make_bimanual(
    suite: Literal["robotwin", "tabletop"],
    task: str,
    protocol: str,
    commands: Literal["relative", "absolute"] | None = None,
    commands_per_action: int = 4,
    cameras: bool = True,
    render_mode: Literal["rgb_array"] | None = None,
    **env: Any,
) -> RemoteEnv:
    """What ``gymnasium.make("lingbot_eval/RoboTwin-<task>-v0", ...)`` and ``Tabletop-`` call; see RoboTwinEnv and
    RelativePose for the spaces. ``commands``: None: the protocol's. ``env``: as in ``conf/env/<suite>.yaml``.

    Raises NotReady, BadInput, UnknownName.
    """
    rules = load_protocol(suite, protocol)
    assert isinstance(rules, RoboTwinProtocol)  # noqa: S101  (both presets are)
    if commands not in (None, rules.commands):
        rules = msgspec.structs.replace(rules, commands=commands, name=f"{rules.name} (modified)")
    draws = cameras or render_mode is not None
    settings = EnvSettings(
        simulator=inspect(simulator_settings(suite, env), draws, [(task, "easy")]).simulator,
        protocol=rules,
        suite=suite,
        task=task,
        commands_per_action=commands_per_action,
        cameras=cameras,
        render=render_mode is not None,
    )
    patient = msgspec.structs.replace(default_limits(), episode_seconds=math.inf)  # somebody may be looking around
    return RemoteEnv(settings, patient)


def simulator_settings(suite: str, changes: dict[str, Any]) -> SimulatorSettings:
    """``conf/env/<suite>.yaml`` with ``changes``, without hydra."""
    text = (resources.files("lingbot_eval") / "conf" / "env" / f"{suite}.yaml").read_text()
    settings: SimulatorSettings = as_struct({**yaml.safe_load(text), **changes}, SimulatorSettings)
    return settings
