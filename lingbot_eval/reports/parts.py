"""A page's episodes in the order in which it lists them. Few stand in the page itself; many are in parts beside it,
each a script that calls the page's ``part``: a page that was opened from disk may load scripts and nothing else."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np

from lingbot_eval.errors import NotReady
from lingbot_eval.reports import document

PART = 2_000
"""Episodes in a part, and in the page itself where it has no parts: half a megabyte."""


class Group(msgspec.Struct, frozen=True):
    """A task's episodes, as far as the page knows them before it has loaded a part."""

    suite: str
    task: str
    counts: list[int]
    """One number for each rank."""


class Listing:
    """Rank by rank, the first first; within a rank task by task as planned; within a task as planned."""

    def __init__(self, episodes: Iterable[tuple[str, str, int]], kinds: int) -> None:
        """``episodes``: suite, task and rank, which is below ``kinds``, of each as planned."""
        numbers: dict[tuple[str, str], int] = {}
        tasks, ranks = array("i"), array("i")
        for suite, task, rank in episodes:
            tasks.append(numbers.setdefault((suite, task), len(numbers)))
            ranks.append(rank)
        counts = np.zeros((len(numbers), kinds), np.int64)
        np.add.at(counts, (tasks, ranks), 1)
        self.groups = [Group(*names, counts[number].tolist()) for names, number in numbers.items()]
        self._order = np.lexsort((tasks, ranks))

    @property
    def parts(self) -> int:
        """How many; 0 where all are in the page itself."""
        return -(-len(self._order) // PART) if len(self._order) > PART else 0

    def part(self, number: int) -> list[int]:
        """Places in the plan of a part's episodes."""
        places: list[int] = self._order[number * PART : (number + 1) * PART].tolist()
        return places


def script(version: str, number: int, lines: Sequence[Any]) -> str:
    """A part as its file has it. ``version``: of the page that it belongs to."""
    return f"part({json.dumps(version)}, {number}, {document.encoded(lines)});\n"


class Parted(Protocol):
    """A page, as far as its parts need it: a struct, as :class:`page.Page`."""

    @property
    def version(self) -> str: ...
    @property
    def parts(self) -> str: ...


Shown = TypeVar("Shown", bound=Parted)

NAME = re.compile(r"[0-9a-f]+(-[0-9a-f]+)+")
"""How the name of a folder of one page's parts looks."""

LEFT = 3600.0
"""Seconds after which a folder of parts that no page names is nobody's: its writer has ended or was killed."""


def write(file: Path, beside: Path, shown: Shown, html: Callable[[Shown], str], scripts: Iterable[str]) -> None:
    """A page as ``file``, and ``scripts``, its parts, in a folder of their own in ``beside``.

    The folder has a name that no other writing gives, and the file that names it comes last and whole: a writer that
    is killed leaves the page that was, and of several at once one has written the page that is. Then the parts of the
    page that was are removed, and those that no page came to name.

    Raises NotReady where nothing can be written.
    """
    name = ""
    if shown.parts:
        name = f"{shown.version}-{secrets.token_hex(4)}"
        document.folder(beside)
        document.folder(beside / name)
        try:
            for number, text in enumerate(scripts):
                document.write(beside / name / f"{number}.js", text)
        except NotReady:
            shutil.rmtree(beside / name, ignore_errors=True)
            raise
        shown = msgspec.structs.replace(shown, parts=f"{shown.parts}{name}/")  # type: ignore[type-var]
    before = _named(file)
    document.write(file, html(shown))
    if beside.is_dir() and not beside.is_symlink():
        _clear(beside, name, before)


def _named(file: Path) -> str:
    """The folder of the parts of the page that is there; empty where it has none, or is no page."""
    try:
        text = file.read_bytes() if file.is_file() else b""
    except OSError:
        return ""
    found = re.search(rb'"parts":"(?:[^"/]+/)*([0-9a-f-]+)/"', text)
    return found[1].decode() if found else ""


def _clear(beside: Path, name: str, before: str) -> None:
    for folder in beside.iterdir():
        with contextlib.suppress(OSError):  # another writer was sooner
            old = folder.name == before or time.time() - folder.stat().st_mtime > LEFT
            if old and folder.name != name and NAME.fullmatch(folder.name):
                shutil.rmtree(folder)
    with contextlib.suppress(OSError):  # something is in it
        beside.rmdir()
