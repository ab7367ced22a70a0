"""The terminal, to which no word of a stranger is markup or a command."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from lingbot_eval.plain import plain


class Screen(Console):
    """A console of rich on which a string is its letters and nothing else: what is to be red is a Text that says so."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **settings)

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a Text of ``text``, without markup, before its width is measured."""
        return super().render_str(plain(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else plain(segment.text)
            yield segment if text == segment.text else Segment(text, segment.style)


def screen(quiet: bool = False) -> Screen:
    """Return standard output; where that is no terminal, it is wide enough for a task's name. ``quiet``: it shows
    nothing."""
    return Screen(quiet=quiet) if sys.stdout.isatty() else Screen(quiet=quiet, width=160)
