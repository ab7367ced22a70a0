"""Reads a checkpoint's files, which somebody else wrote: what is wrong with one is said with its name, and none is
taken to be small or shallow before it was looked at."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from lingbot_eval.errors import LingbotEvalError
from lingbot_eval.files import bounded, json_object

LARGEST_NUMBER = 1 << 53


class BadCheckpoint(LingbotEvalError):
    """A file cannot be read, or tensors are missing, unexpected or of another shape than the configuration says."""


def read_json(path: Path) -> dict[str, Any]:
    """Return a configuration: an object of finite numbers, not deep.

    Raises BadCheckpoint for anything else.
    """
    try:
        content = bounded(path).decode()
        data = json_object(content, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
        json.dumps(data, ensure_ascii=False).encode()  # halves of a character are in no name
    except OSError as error:
        raise BadCheckpoint(unreadable(path, error.strerror)) from None
    except ValueError as error:
        raise BadCheckpoint(unreadable(path, error)) from None
    return data


def unreadable(path: Path, why: object) -> str:
    return f"{path} cannot be read ({why}); was it copied whole, and not as a git-lfs pointer?"


def whole(config: Any, name: str, path: Path, most: int = 1_000_000) -> int:
    """Return ``config[name]``, a count or size. Raises BadCheckpoint."""
    value = config.get(name)
    if type(value) is not int:
        raise BadCheckpoint(f"{path}: {name} is {short(value)}, not a whole number")
    if not 1 <= value <= most:
        raise BadCheckpoint(f"{path}: {name} is {value}, not in 1..{most}")
    return value


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _whole(text: str) -> int:
    number = int(text) if len(text) < 20 else math.inf
    if abs(number) > LARGEST_NUMBER:
        raise ValueError(f"the number {text[:20]}... is absurd")
    return int(number)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is no number")
    return number
