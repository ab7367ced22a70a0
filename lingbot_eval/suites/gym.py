"""Give every environment a Gymnasium id: ``lingbot_eval/<title>-<task>-v0``, with the part before the task where a
benchmark has several (``lingbot_eval/<title>-<part>-<task>-v0``); parts and tasks as the benchmarks name them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any, Literal

import gymnasium as gym
import msgspec

from lingbot_eval.errors import UnknownName
from lingbot_eval.settings import EnvSettings, as_struct, default_limits, to_dict
from lingbot_eval.suites import installed, suite_named, suite_names
from lingbot_eval.suites.suite import Suite


def ids(suite: Suite) -> Iterator[tuple[str, str, str]]:
    """Yield (id, part, task) of every environment of a benchmark."""
    for part, tasks in suite.tasks.items():
        for task in tasks:
            within = f"{part}-{task}" if len(suite.tasks) > 1 else task
            yield f"lingbot_eval/{suite.title}-{within}-v0", part, task


def register() -> None:
    """Register every environment; none has ``max_episode_steps``, because each counts its own commands.

    A benchmark that cannot be loaded has none, which must not keep others from being played; whoever asks for it is
    told why. One whose own module imports this package cannot be loaded yet while it does.
    """
    for suite in filter(None, map(installed, suite_names())):
        for name, part, task in ids(suite):
            with contextlib.suppress(gym.error.Error):  # a title or a task that no id may contain
                gym.register(
                    id=name,
                    entry_point="lingbot_eval.suites.gym:make",
                    kwargs={"suite": suite.name, "part": part, "task": task},
                )


def make(
    suite: str,
    part: str,
    task: str,
    protocol: str | None = None,
    commands_per_action: int | None = None,
    cameras: bool = True,
    render_mode: Literal["rgb_array"] | None = None,
    **choices: Any,
) -> gym.Env[Any, Any]:
    """Make the environment in a process of its own, as ``gymnasium.make("lingbot_eval/…-v0", ...)`` asks; its class
    says what its spaces are. ``protocol`` is a preset's name (default: the suite's). ``choices`` are settings of the
    simulator (``conf/env/<suite>.yaml``) or of the protocol, by name.

    Raises NotReady, BadInput, UnknownName.
    """
    from lingbot_eval.envs.remote import RemoteEnv
    from lingbot_eval.suites.machine import inspect

    mine = suite_named(suite)
    rules = mine.load_protocol(protocol or mine.default_protocol)
    known, here = to_dict(rules), to_dict(mine.simulator_settings({}))
    if unknown := [name for name in choices if name not in {**known, **here}]:
        raise UnknownName(f"setting of {mine.title}", unknown[0], [*here, *known])
    changes = {name: value for name, value in choices.items() if name in known and value is not None}
    if any(known[name] != value for name, value in changes.items()):
        rules = as_struct({**known, **changes, "name": f"{rules.name} (modified)"}, mine.protocol)
    simulator = mine.simulator_settings({name: value for name, value in choices.items() if name in here})
    scenes = [(task, setting) for setting in mine.settings[:1]]
    settings = EnvSettings(
        simulator=inspect(mine, simulator, cameras or render_mode is not None, scenes).simulator,
        protocol=rules,
        suite=part,
        task=task,
        commands_per_action=commands_per_action or mine.commands_per_action,
        cameras=cameras,
        render=render_mode is not None,
    )
    patient = msgspec.structs.replace(default_limits(), episode_seconds=math.inf)  # somebody may be looking around
    return RemoteEnv(settings, patient)
