"""What a person sees while a run goes on: who plays what and the rates so far on a terminal, elsewhere failures and now
and then the total."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from types import TracebackType

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from lingbot_eval.cli.overview import lane_table, line, named, overview, reason
from lingbot_eval.cli.screen import Screen
from lingbot_eval.errors import LingbotEvalError
from lingbot_eval.plain import say
from lingbot_eval.runs.coordinator import Event
from lingbot_eval.runs.lanes import Lanes
from lingbot_eval.runs.presence import this_process
from lingbot_eval.runs.status import Lookout, Standing, with_mine
from lingbot_eval.types import EpisodeRecord, Outcome

LOOK_SECONDS = 2.0
"""Between two looks at the run directory, where others may play too."""

LINE_SECONDS = 600.0
"""Between two totals where there is no terminal."""

NOTEBOOK_SECONDS = 2.0
"""Between two totals in a notebook, where one takes the place of the other."""


class Progress:
    """Of the episodes that ``lookout`` looks at, which this process plays, perhaps among others that do; ``seen``: what
    it saw until now."""

    def __init__(self, lookout: Lookout, seen: Standing, console: Screen) -> None:
        self._lookout, self._seen, self._console = lookout, seen, console
        self._lanes, self._lock = Lanes(), threading.Lock()
        self._said, self._looked = time.monotonic(), 0.0
        self._told: dict[str, EpisodeRecord] = {}
        """By episode id: final records, which the next look finds on disk."""
        self._process = this_process()
        self._live = Live(
            console=console, get_renderable=self._screen, refresh_per_second=1, transient=True, redirect_stdout=False
        )

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, sentence: str) -> None:
        self._console.print(sentence, soft_wrap=True)

    def tell(self, event: Event) -> None:
        """Show what happened."""
        with self._lock:
            self._note(event)
        record = event.record
        if record is not None and record.outcome is Outcome.ERROR:
            again = "trying once more" if event.will_retry else "given up for this run"
            words = f" {event.episode.id} ({again}): {reason(record)}"
            self._console.print(Text.assemble(("ERROR", "red"), words), soft_wrap=True)
        notebook = self._console.is_jupyter
        every = NOTEBOOK_SECONDS if notebook else LINE_SECONDS
        if self._console.is_terminal or self._console.quiet or time.monotonic() - self._said < every:
            return
        self._said = time.monotonic()
        if notebook:
            say(f"{line(self._standing()):<120}", end="\r", file=sys.stderr)  # which rich would show as a new line
        else:
            self.say(line(self._standing()))

    def times(self, width: int) -> RenderableType:
        """Where the workers' time went, a line each; once the session has ended."""
        mine = [player for player in self._lookout.look().players if player.session.process == self._process]
        return lane_table(named(mine[-1]), plays=False, width=width)

    def _note(self, event: Event) -> None:
        if event.record is None and event.lane is not None:
            self._lanes.plays(event.lane, event.episode)
        if event.record is not None:
            if event.lane is not None:
                self._lanes.played(event.lane, event.record)
            if not event.will_retry:
                self._told[event.episode.id] = event.record

    def _screen(self) -> RenderableType:
        return overview(self._standing(), self._console.width, self._console.height - 1)

    def _standing(self) -> Standing:
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            with contextlib.suppress(LingbotEvalError, OSError):  # whoever plays meets it too, and says so
                self._seen = self._lookout.look()
        with self._lock:
            return with_mine(self._seen, self._process, self._lanes, self._told)
