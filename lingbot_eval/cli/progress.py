"""While a run goes on, a person sees who plays what and the rates so far on a terminal; elsewhere failures, and now and
then the total."""

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
from lingbot_eval.runs.lanes import EpisodeUpdate, Lanes
from lingbot_eval.runs.presence import this_process
from lingbot_eval.runs.status import Standing, StatusReader, with_mine
from lingbot_eval.types import EpisodeRecord, Outcome

READ_SECONDS = 2.0
"""The run directory, where others may play too, is read so often."""

LINE_SECONDS = 600.0
"""Where there is no terminal, the total is printed so often."""

NOTEBOOK_SECONDS = 2.0
"""So many seconds pass between two totals in a notebook, where one takes the place of the other."""


class Progress:
    """Shows how the episodes stand that ``reader`` reads of, and that this process plays, perhaps among others."""

    def __init__(self, reader: StatusReader, seen: Standing, console: Screen) -> None:
        """``seen`` is what ``reader`` has read until now."""
        self._reader, self._seen, self._console = reader, seen, console
        self._lanes, self._lock = Lanes(), threading.Lock()
        self._said, self._read = time.monotonic(), 0.0
        self._told: dict[str, EpisodeRecord] = {}
        """These records are final for their episodes (id), and not found on disk yet."""
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

    def tell(self, update: EpisodeUpdate) -> None:
        """Show what happened."""
        self._lanes.tell(update)
        record = update.record
        if record is not None and not update.will_retry:
            with self._lock:
                self._told[update.episode.id] = record
        if record is not None and record.outcome is Outcome.ERROR:
            again = "trying once more" if update.will_retry else "given up for this run"
            words = f" {update.episode.id} ({again}): {reason(record)}"
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
        """Show where the workers' time went, a line each; once this coordinator has ended."""
        mine = [player for player in self._reader.read().players if player.coordinator.process == self._process]
        return lane_table(named(mine[-1]), plays=False, width=width)

    def _screen(self) -> RenderableType:
        return overview(self._standing(), self._console.width, self._console.height - 1)

    def _standing(self) -> Standing:
        now = time.monotonic()
        if now - self._read >= READ_SECONDS:
            self._read = now
            with contextlib.suppress(LingbotEvalError, OSError):  # whoever plays meets it too, and says so
                self._seen = self._reader.read()
        with self._lock:
            self._told = {id: record for id, record in self._told.items() if id not in self._seen.final}
            return with_mine(self._seen, self._process, self._lanes, self._told.values())
