"""Make the words of strangers (names of tasks, agents, hosts and folders, notes, errors) harmless where they could do
something: on a terminal, and in a spreadsheet."""

from __future__ import annotations

import re
import sys
from typing import TextIO

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1: a terminal obeys them
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # marks, breaks, and what turns the order of letters about
    "\xad\u180e\u200b\u2060-\u2064\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f"  # drawn as nothing
    "\ud800-\udfff]"  # no characters: what was no UTF-8 in a file's name
)

FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
"""The flag of a region is written in letters that are otherwise drawn as nothing (Unicode TS 51, emoji tag
sequences)."""

_UNSEEN_OR_FLAG = re.compile(f"{FLAG.pattern}|{UNSEEN.pattern}")

FORMULA = re.compile(r"[=+\-@\t\r＝＋－＠](?s:.)")
"""A spreadsheet computes a cell that begins so, as OWASP's page on CSV injection lists it; alone, the sign is text."""


def plain(text: str) -> str:
    """Return ``text`` with what a terminal would obey, or nobody would see, as Python writes it: ``\\x1b``."""
    return _UNSEEN_OR_FLAG.sub(
        lambda found: found[0] if FLAG.fullmatch(found[0]) else found[0].encode("unicode_escape").decode(), text
    )


def say(*words: object, end: str = "\n", file: TextIO | None = None, flush: bool = False) -> None:
    """Print words that may be a stranger's, as ``print`` does."""
    print(*(plain(str(word)) for word in words), end=end, file=file or sys.stdout, flush=flush)


def cell(value: object) -> object:
    """Return ``value`` for a cell of a CSV file: text that a spreadsheet would take for a formula gets a ``'`` before
    it; numbers stay numbers."""
    if not isinstance(value, str):
        return value
    text = plain(value)
    # A text that looks guarded gets a second guard, so that uncell gives back what was.
    return f"'{text}" if _guarded(text) or (FORMULA.match(text) and not _is_number(text)) else text


def uncell(text: str) -> str:
    """Return what :func:`cell` was given."""
    return text[1:] if _guarded(text) else text


def _guarded(text: str) -> bool:
    return text.startswith("'") and bool(FORMULA.match(text.lstrip("'")))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
