"""``tasks.yaml`` has what can be known about the tasks without a simulator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lingbot_eval.errors import BadInput, UnknownName


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


def wordings(task: str, sentence: str) -> list[str]:
    """Return the other ``seen`` instructions that say no more than ``sentence``, which may be of either split, in the
    order of the file: where it names no arm, none of them does.

    Raises UnknownName; BadInput for a sentence that is none of the task's.
    """
    entry = _entry(task)
    known = [*entry["seen"], *entry["unseen"]]
    if not (found := [match for template in known if (match := _match(template, sentence))]):
        raise BadInput(f"{sentence!r} is no instruction of {task}")
    info = {f"{{{blank}}}": words for blank, words in found[0].groupdict().items()}
    filled = [_fill(template, info) for template in entry["seen"]]
    return [text for text in filled if "{" not in text and text != sentence]


_THING, _ARM = "[a-z]+(?: [a-z]+)?", "left|right"
"""What fills a blank: a thing, which may have a colour, or an arm."""


def _match(template: str, sentence: str) -> re.Match[str] | None:
    """Match ``sentence``, with a group for each blank of the template that it may be made of."""
    pattern = re.escape(template)
    for blank in "ABCab":
        escaped, words = re.escape(f"{{{blank}}}"), _THING if blank.isupper() else _ARM
        pattern = pattern.replace(escaped, f"(?P<{blank}>{words})", 1).replace(escaped, f"(?P={blank})")
    return re.fullmatch(pattern, sentence)


def _entry(task: str) -> dict[str, Any]:
    if task not in catalogue():
        raise UnknownName("tabletop task", task, catalogue())
    return catalogue()[task]


def _fill(template: str, info: Mapping[str, str]) -> str:
    for blank, words in info.items():
        template = template.replace(blank, words)
    return template
