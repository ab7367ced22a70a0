"""Collects what is found in a dataset: the same of many segments is one line."""

from __future__ import annotations


class Findings:
    """What is wrong, and what is only worth knowing."""

    def __init__(self) -> None:
        self._wrong: dict[str, list[str]] = {}
        self._notes: dict[str, list[str]] = {}

    def wrong(self, what: str, where: str = "") -> None:
        self._wrong.setdefault(what, []).append(where)

    def note(self, what: str, where: str = "") -> None:
        self._notes.setdefault(what, []).append(where)

    def wrongs(self) -> list[str]:
        return _lines(self._wrong)

    def notes(self) -> list[str]:
        return _lines(self._notes)


def _lines(found: dict[str, list[str]]) -> list[str]:
    return [
        f"{what} ({where[0]}{f', and {len(where) - 1} more' * (len(where) > 1)})" if where[0] else what
        for what, where in found.items()
    ]
