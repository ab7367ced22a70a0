"""What a person sees while a run goes on: one line per suite on a terminal, only failures elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from rich import progress as rich_progress
from rich.console import Console
from rich.markup import escape

from lingbot_eval.suites.local import Event
from lingbot_eval.types import Episode, EpisodeRecord, Outcome


class Progress:
    """Done, successes, errors and time left per suite."""

    def __init__(self, plan: Sequence[Episode], final: Mapping[str, EpisodeRecord], console: Console) -> None:
        self._plan, self._console = plan, console
        self._final = {id: record for id, record in final.items() if record.outcome is not Outcome.ERROR}
        self._start, self._played = time.monotonic(), 0
        self._bars = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(bar_width=24),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TextColumn("{task.fields[rate]}"),
            rich_progress.TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._ids = {}
        for suite in dict.fromkeys(episode.suite for episode in plan):
            total = sum(episode.suite == suite for episode in plan)
            self._ids[suite] = self._bars.add_task(suite, total=total, rate="", left="")
            self._show(suite)

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, sentence: str) -> None:
        self._console.print(sentence, highlight=False, soft_wrap=True, markup=False)

    def tell(self, event: Event) -> None:
        """Show what happened."""
        record = event.record
        if record is None:
            return
        if record.outcome is Outcome.ERROR:
            last = record.error.strip().splitlines()[-1] if record.error.strip() else "no reason given"
            again = "trying once more" if event.will_retry else "given up for this run"
            self._console.print(
                f"[red]ERROR[/red] {escape(event.episode.id)} ({again}): {escape(last)}",
                highlight=False,
                soft_wrap=True,
            )
        if not event.will_retry:
            self._played += 1
            self._final[event.episode.id] = record
        self._show(event.episode.suite)

    def _show(self, suite: str) -> None:
        known = [
            self._final[episode.id] for episode in self._plan if episode.suite == suite and episode.id in self._final
        ]
        counts = {outcome: sum(record.outcome is outcome for record in known) for outcome in Outcome}
        rate = f"{counts[Outcome.SUCCESS]} succeeded, {counts[Outcome.FAILURE]} failed"
        if counts[Outcome.ERROR]:
            rate += f", [red]{counts[Outcome.ERROR]} errors[/red]"
        left = sum(episode.suite == suite for episode in self._plan) - len(known)
        self._bars.update(self._ids[suite], completed=len(known), rate=rate, left=self._time_left(left))

    def _time_left(self, episodes: int) -> str:
        if not self._played or not episodes:
            return ""
        seconds = int(episodes * (time.monotonic() - self._start) / self._played)
        return f"about {seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} left"
