"""``curve.jsonl`` tells what a training learnt, one JSON object a line, with checksums (lines.py).

Nothing in it depends on the clock or on how often the training was interrupted: a training that went on after a crash
has the same file, byte for byte, as one that did not crash (on a CPU).

    {"step": 12, "video": 0.81, "action": 0.12, "norm": 1.9, "rate": 1e-05, "items": 16, "levels": {...}}
    {"step": 200, "held_out": {"video": 0.9, "action": 0.14, ...}}
    {"step": 200, "played": {"suite": "NAME", "tasks": {...}}}
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from lingbot_eval.errors import CorruptRecords
from lingbot_eval.files import unwritable
from lingbot_eval.lines import LineReader, LineWriter


class Curve:
    """Appends to ``file``, of which the first ``lines`` lines are kept."""

    def __init__(self, file: Path, lines: int) -> None:
        """Raises CorruptRecords where fewer lines are there, or one was changed."""
        reader = _reader(file)
        try:
            self.known: list[dict[str, Any]] = list(islice(reader.added(), lines)) if lines else []
        except FileNotFoundError:
            raise CorruptRecords(f"{file} is missing, which had {lines} lines; restore it") from None
        if len(self.known) < lines:
            raise CorruptRecords(f"{file} has {len(self.known)} lines, but had {lines}: it was cut; restore it")
        try:
            self._writer = LineWriter(file, after=reader)
        except OSError as error:
            raise unwritable(file, error) from None

    @property
    def lines(self) -> int:
        return len(self.known)

    def append(self, line: Mapping[str, Any]) -> None:
        """Append ``line``; it is on disk when this returns. Raises NotReady where there is no room."""
        try:
            self._writer.append(msgspec.json.encode(line))
        except OSError as error:
            raise unwritable(self._writer.file, error) from None
        self.known.append(dict(line))

    def close(self) -> None:
        self._writer.close()


def read(file: Path) -> list[dict[str, Any]]:
    """Return all lines of a curve. Raises FileNotFoundError and CorruptRecords."""
    return list(_reader(file).added())


def _reader(file: Path) -> LineReader[dict[str, Any]]:
    return LineReader(file, lambda line: msgspec.json.decode(line, type=dict[str, Any]))
