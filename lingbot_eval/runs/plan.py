"""The plan decides every episode before anything runs: each benchmark makes its own (``suites/``), and here is what all
plans have in common."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence

import msgspec

from lingbot_eval.errors import BadInput
from lingbot_eval.suites.suite import Task
from lingbot_eval.types import Episode


def shard(episodes: Sequence[Episode], text: str) -> list[Episode]:
    """Return slice i of n for ``i/n``, i from 0: every n-th episode of the plan, so that each slice has a share of
    every task. All slices together are the plan, and no two have an episode in common.

    Raises BadInput.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
    if match is None or int(match[1]) >= int(match[2]):
        raise BadInput(f"--shard {text} is not i/n with i in 0..n-1; --shard 0/8 plays the first of eight slices")
    return list(episodes[int(match[1]) :: int(match[2])])


def remaining(episodes: Sequence[Episode], done: Collection[str]) -> list[Episode]:
    """Return the episodes whose ids are not in ``done``; resuming a run is this and nothing more."""
    return [episode for episode in episodes if episode.id not in done]


def task_of(episode: Episode) -> Task:
    return (episode.suite, episode.task, episode.setting)


def by_task(episodes: Iterable[Episode]) -> dict[Task, list[Episode]]:
    """Return each task's episodes, in the order of the tasks' first episodes."""
    tasks: dict[Task, list[Episode]] = {}
    for episode in episodes:
        tasks.setdefault(task_of(episode), []).append(episode)
    return tasks


def to_lines(episodes: Iterable[Episode]) -> bytes:
    """Write the plan as it is kept and hashed: one JSON object per line."""
    return b"".join(msgspec.json.encode(episode) + b"\n" for episode in episodes)


def plan_hash(episodes: Iterable[Episode]) -> str:
    return lines_hash(to_lines([episode]) for episode in episodes)


def lines_hash(pieces: Iterable[bytes]) -> str:
    """Hash a plan as it is kept, in pieces of any size."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()[:12]
