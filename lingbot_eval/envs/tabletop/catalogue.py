"""``tasks.yaml`` has what can be known about the tasks without a simulator."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lingbot_eval.errors import UnknownName


@cache
def catalogue() -> dict[str, dict[str, Any]]:
    """Return, by task, its ``limit`` and its templates ``seen`` and ``unseen``."""
    entries: dict[str, dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "tasks.yaml").read_text())
    return entries


def command_limit(task: str) -> int:
    """Return how many commands an episode of the task may take.

    Raises UnknownName.
    """
    limit: int = _entry(task)["limit"]
    return limit


def sentences(task: str, info: Mapping[str, str]) -> dict[str, list[str]]:
    """Return every instruction that fits, by ``seen`` and ``unseen``, in the order of the file. ``info`` is
    ``info["info"]`` of ``play_once``.

    Raises UnknownName.
    """
    return {split: [_fill(template, info) for template in _entry(task)[split]] for split in ("seen", "unseen")}


def _entry(task: str) -> dict[str, Any]:
    if task not in catalogue():
        raise UnknownName("tabletop task", task, catalogue())
    return catalogue()[task]


def _fill(template: str, info: Mapping[str, str]) -> str:
    for blank, words in info.items():
        template = template.replace(blank, words)
    return template
