"""Compare the files of ``conf/`` with the tables of this folder, value by value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.presets import libero, lingbot_va, ours, robots, robotwin, training

TABLES = {
    **{**libero.TABLES, **robotwin.TABLES, **lingbot_va.TABLES},
    **{**ours.TABLES, **robots.TABLES, **training.TABLES},
}
"""By file below ``conf/``: all that it says."""

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def unlike(conf: Path) -> list[str]:
    """What the files below ``conf`` say otherwise than the tables, one line each: files and keys without a table, and
    tables without a file, too."""
    files = {str(file.relative_to(conf)): file for file in conf.rglob("*.yaml")}
    found = [f"{name}: no table" for name in files.keys() - TABLES.keys()]
    found += [f"{name}: no file" for name in TABLES.keys() - files.keys()]
    for name in sorted(files.keys() & TABLES.keys()):
        found += [f"{name}: {line}" for line in differing(read(files[name].read_text()), TABLES[name])]
    return found


def read(text: str) -> Any:
    return yaml.load(text, LOADER)  # noqa: S506  (a safe one)


def differing(says: Any, held: Any, path: str = "") -> Iterator[str]:
    """Where two documents differ. The order of keys counts below the first level, where it means something (cameras);
    1 is 1.0, and neither is true."""
    if isinstance(says, dict) and isinstance(held, dict):
        for key in says.keys() | held.keys():
            where = f"{path}.{key}".lstrip(".")
            if key not in says or key not in held:
                yield f"{where}: only in the {'table' if key in held else 'file'}"
            else:
                yield from differing(says[key], held[key], where)
        if path and says.keys() == held.keys() and list(says) != list(held):
            yield f"{path}: in the order {', '.join(says)}, held {', '.join(held)}"
    elif isinstance(says, list) and isinstance(held, list) and len(says) == len(held):
        for number, (one, other) in enumerate(zip(says, held, strict=True)):
            yield from differing(one, other, f"{path}[{number}]")
    elif says != held or isinstance(says, bool) != isinstance(held, bool):
        yield f"{path}: {says!r}, held {held!r}"
