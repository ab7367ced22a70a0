"""Play one episode.  Read this file second."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal

import gymnasium as gym
import numpy as np

from lingbot_eval.envs.spaces import check_actions
from lingbot_eval.errors import ImpossibleAnswer
from lingbot_eval.plausible import impossible
from lingbot_eval.types import Action, Agent, Episode, EpisodeRecord, Observation, Outcome

Env = gym.Env[Observation, Action]


def run_episode(env: Env, agent: Agent, episode: Episode) -> EpisodeRecord:
    """Play ``episode`` until the task is done or the command limit is reached.

    Exceptions pass through: the worker decides what a crash means. Raises BadAction for actions that do not fit, before
    any of them is sent, and ImpossibleAnswer for what no environment can answer.
    """
    start = time.perf_counter()
    scene = ("task", "setting", "initial_state", "index")
    observation, _ = env.reset(seed=episode.seed, options={name: getattr(episode, name) for name in scene})
    agent.reset(episode.instruction, seed=episode.agent_seed)
    frames, sent = [observation], 0
    while True:
        actions = agent.act(frames)
        check_actions(actions)
        frames = []
        for action in actions:
            observation, _, terminated, truncated, info = env.step(action)
            sent += len(action)
            frames.append(observation)
            if _flag("terminated", terminated) | _flag("truncated", truncated):
                record = EpisodeRecord(
                    episode=episode,
                    outcome=Outcome.SUCCESS if terminated else Outcome.FAILURE,
                    commands=_count(info, "commands"),
                    seconds=time.perf_counter() - start,
                    progress=_number(info, "progress"),
                    max_progress=_number(info, "max_progress"),
                    out_of_bounds=_count(info, "out_of_bounds"),
                    plan_failures=_count(info, "plan_failures") if "plan_failures" in info else 0,
                )
                words = impossible(record)
                if not words and not sent - len(action) < record.commands <= sent:
                    words = f"{record.commands} commands, where {sent} were sent, {len(action)} of them last"
                if words:
                    raise ImpossibleAnswer(f"the environment's account of the episode cannot be: {words}")
                return record


def _flag(name: str, value: object) -> bool:
    """Return ``value`` as one of Python's booleans, because environments may answer numpy's. Anything else is refused:
    it would count as true."""
    if not isinstance(value, bool | np.bool_):
        raise ImpossibleAnswer(f"the environment says {name}={value!r}, which is neither True nor False")
    return bool(value)


def _count(info: Mapping[str, object], name: Literal["commands", "out_of_bounds", "plan_failures"]) -> int:
    """Return this count of an :class:`Info` as one of Python's numbers, which JSON can hold."""
    value = _of_python(info.get(name))
    if isinstance(value, bool) or not isinstance(value, int):
        raise ImpossibleAnswer(f"the environment says {name}={value!r}, which is no count")
    return value


def _number(info: Mapping[str, object], name: Literal["progress", "max_progress"]) -> float:
    """Return this number as :func:`_count` does; whole numbers stay whole."""
    value = _of_python(info.get(name))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ImpossibleAnswer(f"the environment says {name}={value!r}, which is no number")
    return value


def _of_python(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value
