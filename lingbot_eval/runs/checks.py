"""Checks whether two experiments, and two plans, are the same, and what differs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from lingbot_eval.runs.plan import by_task, task_of
from lingbot_eval.types import Episode


def compare(theirs: Mapping[str, object], ours: Mapping[str, object], path: str = "") -> list[str]:
    """Say ``name: there X, here Y`` of every leaf that differs."""
    differences = []
    for key in sorted({*theirs, *ours}):
        there, here = theirs.get(key), ours.get(key)
        if isinstance(there, Mapping) and isinstance(here, Mapping):
            differences += compare(there, here, f"{path}{key}.")
        elif json.loads(json.dumps(there, default=str)) != json.loads(json.dumps(here, default=str)):
            differences.append(f"{path}{key}: there {there!r}, here {here!r}")
    return differences


def plan_difference(there: Sequence[Episode], here: Sequence[Episode]) -> list[str]:
    """Say what differs in the tasks that two plans have in common; nothing where those have the same episodes."""
    theirs, ours = by_task(there), by_task(here)
    return [words for task in ours if task in theirs for words in _task_difference(theirs[task], ours[task])]


def _task_difference(there: Sequence[Episode], here: Sequence[Episode]) -> list[str]:
    theirs, ours = ({episode.id: episode for episode in plan} for plan in (there, here))
    task = "/".join(part for part in task_of(here[0]) if part)
    words = [f"{task}: there {len(theirs)} episodes, here {len(ours)}"] if len(theirs) != len(ours) else []
    for label, plan, other in (("only there", theirs, ours), ("only here", ours, theirs)):
        extra = [id for id in plan if id not in other]
        if extra:
            words.append(f"{label}: {extra[0]}" + (f" and {len(extra) - 1} more" if len(extra) > 1 else ""))
    changed = [id for id in theirs if id in ours and theirs[id] != ours[id]]
    if changed:
        words.append(f"{changed[0]}: there {theirs[changed[0]]}, here {ours[changed[0]]}")
    return words or ([f"{task}: the same episodes in another order"] if list(there) != list(here) else [])
