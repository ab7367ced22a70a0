"""Reads a checkpoint's files, which somebody else wrote: what is wrong with one is said with its name, and none is
taken to be small or shallow before it was looked at."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from lingbot_eval.errors import LingbotEvalError

LARGEST_JSON = 1 << 26
"""Bytes; UMT5's tokenizer.json has 17 million."""

LARGEST_NUMBER = 1 << 53
DEEPEST = 32
"""Levels of lists and objects; configurations have four."""


class BadCheckpoint(LingbotEvalError):
    """A file cannot be read, or tensors are missing, unexpected or of another shape than the configuration says."""


def read(path: Path, most: int) -> bytes:
    """The content of a regular file (a link is followed) of up to ``most`` bytes.

    Raises OSError, also for a pipe, which nobody may ever write to, and for a larger file.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))
    return content


def read_json(path: Path) -> dict[str, Any]:
    """A configuration: an object of finite numbers, not deep.

    Raises BadCheckpoint for anything else.
    """
    try:
        text = read(path, LARGEST_JSON).decode()
        data: dict[str, Any] = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
        if not isinstance(data, dict):
            raise ValueError("no JSON object")
        if _depth(data) > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} levels deep")
        json.dumps(data, ensure_ascii=False).encode()  # halves of a character are in no name
    except RecursionError:
        raise BadCheckpoint(unreadable(path, f"nested more than {DEEPEST} levels deep")) from None
    except OSError as error:
        raise BadCheckpoint(unreadable(path, error.strerror)) from None
    except ValueError as error:
        raise BadCheckpoint(unreadable(path, error)) from None
    return data


def unreadable(path: Path, why: object) -> str:
    return f"{path} cannot be read ({why}); was it copied whole, and not as a git-lfs pointer?"


def whole(config: Any, name: str, path: Path, most: int = 1_000_000) -> int:
    """``config[name]``, a count or size. Raises BadCheckpoint."""
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


def _depth(data: object) -> int:
    depth, level = 0, [data]
    while level:
        depth += 1
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                below += value.values()
            elif isinstance(value, list):
                below += value
        level = [value for value in below if isinstance(value, (dict, list))]
    return depth
