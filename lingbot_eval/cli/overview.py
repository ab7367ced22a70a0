"""A screen shows how a run stands: who plays what, where the seconds went, the rates so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lingbot_eval.reports.stats.intervals import Count, macro, stratified
from lingbot_eval.reports.table import percents
from lingbot_eval.runs.lanes import PARTS, LaneState, together
from lingbot_eval.runs.presence import Life
from lingbot_eval.runs.status import Player, Standing, Tally
from lingbot_eval.suites.suite import Task
from lingbot_eval.types import EpisodeRecord, Outcome

WIDE = 110
"""On a screen of so many columns each of PARTS has a column."""

NARROW = ("starting", "other")
"""On a smaller screen these share a column, called the rest."""

SHORT = {"simulator": "sim", "waiting": "wait", "recording": "rec"}
"""On a smaller screen these have shorter names."""

FAILURES = 3
"""So many failures, the last ones, are shown."""


def overview(standing: Standing, width: int, height: int | None = None) -> RenderableType:
    """Show all coordinators and lanes; or on at most ``height`` lines, those that play, as many as fit: the lanes that
    have played an episode for longest."""
    suites = suites_of(standing)
    below: list[RenderableType] = [suite_table(standing, suites), Text(total(standing, suites))]
    players = standing.playing or list(standing.players)
    hosts = {player.coordinator.host for player in players}
    lanes = [lane for player in players for lane in named(player, len(players) > 1, len(hosts) > 1)]
    if height is None:
        return Group(*map(head, standing.players), lane_table(lanes, bool(standing.playing), width), *below)
    heads = [head(player) for player in players[: max(1, height // 6)]]
    if more := len(players) - len(heads):
        heads.append(Text(f"and {counted(more, 'coordinator')} more"))
    room = height - len(heads) - len(suites) - 2
    return Group(*heads, *([lane_table(lanes, bool(standing.playing), width, room)] if room >= 3 else []), *below)


def head(player: Player) -> RenderableType:
    """Say who plays, since when, and whether it does."""
    who, life = player.coordinator, player.life
    where = f"{who.host} {who.process.pid}"
    did = f"{counted(together(player.lanes.values()).played, 'episode')} in {clock(player.seconds)}"
    words = {
        Life.PLAYS: f"plays since {_utc(who.started)}, {did}",
        Life.ENDED: f"ended {_utc(who.ended)}, {did}",
        Life.DIED: f"died; until heartbeat {player.counter}: {did}",
        Life.UNKNOWN: f"last heartbeat seen: {player.counter}, {did}; nobody here can tell yet whether it still plays",
    }
    rate = f", {player.per_hour:.0f}/h" if player.per_hour else ""
    return Text(f"{where}: {words[life]}{rate}", overflow="ellipsis", no_wrap=True)


def named(player: Player, process: bool = False, host: bool = False) -> list[tuple[str, LaneState]]:
    """Name its lanes by the worker's number, and which of its lanes where a worker has several; the coordinator's
    ``host`` and ``process`` may stand before it."""
    sessions = player.coordinator.settings.get("agent", {}).get("sessions", 1)
    before = f"{player.coordinator.host} " * host + f"{player.coordinator.process.pid} " * process
    return [
        (before + (f"{number // sessions}-{number % sessions}" if sessions > 1 else str(number)), state)
        for number, state in player.lanes.items()
    ]


def lane_table(
    lanes: Sequence[tuple[str, LaneState]], plays: bool, width: int, room: int | None = None
) -> RenderableType:
    """Show a line per lane (name, what it does), under a heading, and one for all of them; those that have played an
    episode for longest where that is more than ``room`` lines. ``plays`` says whether to show what they play, too."""
    if not lanes:
        return Group()
    parts = {part: part for part in PARTS}
    if width < WIDE:
        parts = {part: SHORT.get(part, part) for part in PARTS if part not in NARROW} | {"rest": "rest"}
    shown: Sequence[int] = range(len(lanes))
    if room is not None and len(lanes) + 2 > room:
        shown = sorted(sorted(shown, key=lambda place: -lanes[place][1].seconds)[: room - 2])
    states = [state for _, state in lanes]
    busy = sum(bool(state.episode) for state in states)
    words = f"{busy} play" + (f", {len(lanes) - busy} wait" if busy < len(lanes) else "")
    words += f"; above: the {len(shown)} longest" if len(shown) < len(lanes) else ""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    first = max(6, *(len(name) for name, _ in lanes), len(f"all {len(lanes)}"))
    table.add_column("worker", no_wrap=True, min_width=first)
    if plays:
        others = first + sum(max(4, len(heading)) + 1 for heading in ("done", "0:00:00", *parts.values()))
        table.add_column("plays", no_wrap=True, max_width=max(8, width - others - 2))
        table.add_column("for", no_wrap=True, justify="right")
    for heading in ("done", *parts.values()):
        table.add_column(heading, no_wrap=True, justify="right")
    for name, state in (lanes[place] for place in shown):
        playing = [
            state.episode.partition("/")[2].removesuffix("/-"),
            clock(state.seconds) if state.episode else "",
        ]
        table.add_row(name, *(playing if plays else []), *_numbers(state, parts))
    if len(lanes) > 1:
        every = _numbers(together(states), parts)
        table.add_row(f"all {len(lanes)}", *([words, ""] if plays else []), *every)
    return table


def _numbers(state: LaneState, parts: Iterable[str]) -> list[str]:
    """Return the number of records, and the shares of the seconds in which they were made."""
    seconds = {part: getattr(state, part) for part in PARTS}
    seconds["rest"] = sum(seconds[part] for part in NARROW)
    whole = sum(seconds[part] for part in PARTS)
    shares = [f"{100 * seconds[name] / whole:.0f}%" if state.played else "" for name in parts]
    return [str(state.played), *shares]


@dataclass(frozen=True)
class Suite:
    """Holds what is known of a suite's episodes, in one setting."""

    name: str
    tallies: Mapping[Task, Tally]

    @property
    def counts(self) -> list[Count]:
        """Return as the tables count the tasks that have a result."""
        return [Count(tally.successes, tally.trials) for tally in self.tallies.values() if tally.trials]

    @property
    def planned(self) -> int:
        return sum(tally.planned for tally in self.tallies.values())

    @property
    def trials(self) -> int:
        return sum(tally.trials for tally in self.tallies.values())

    @property
    def errors(self) -> int:
        return sum(tally.errors for tally in self.tallies.values())

    @property
    def rate(self) -> str:
        """Return it in %; every task counts the same."""
        return f"{100 * macro(self.counts):.1f}" if self.counts else "–"

    @property
    def interval(self) -> str:
        return percents(stratified(self.counts)) if self.counts else "–"


def suites_of(standing: Standing) -> list[Suite]:
    suites: dict[str, dict[Task, Tally]] = {}
    for task, tally in standing.scores.tallies.items():
        name, _, setting = task
        suites.setdefault(f"{name} {setting}".strip(), {})[task] = tally
    return [Suite(name, tallies) for name, tallies in suites.items()]


def suite_table(standing: Standing, suites: Sequence[Suite]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("suite", no_wrap=True)
    for heading in ("played", "SR %", "95 % interval", "errors", "time left"):
        table.add_column(heading, justify="right", no_wrap=True)
    for suite in suites:
        errors = Text(str(suite.errors) if suite.errors else "", "red")
        left = _left(standing.seconds_left(suite.tallies))
        played = f"{suite.trials}/{suite.planned}"
        table.add_row(suite.name, played, suite.rate, suite.interval, errors, left)
    return table


def total(standing: Standing, suites: Sequence[Suite]) -> str:
    """Say in one line how many episodes are played, and what is left."""
    trials, planned = sum(suite.trials for suite in suites), len(standing.plan)
    errors = sum(suite.errors for suite in suites)
    words = [f"{trials} of {counted(planned, 'episode')}"]
    if errors:
        words.append(counted(errors, "error"))
    if standing.playing:
        words.append(f"{standing.per_hour:.0f} episodes/h" if standing.per_hour else "no result yet")
        if left := _left(standing.seconds_left(standing.scores.tallies)):
            words.append(f"about {left} left")
        if unheard := sum(player.life is Life.UNKNOWN for player in standing.playing):
            words.append(f"if {counted(unheard, 'coordinator')} that nobody has heard yet still plays")
    elif trials < planned:
        words.append("nobody plays: run-suite goes on")
    return ", ".join(words)


def line(standing: Standing) -> str:
    """Say everything in one line, for a log."""
    suites = suites_of(standing)
    rates = [f"{suite.name} {suite.rate} % ({suite.interval})" for suite in suites if suite.counts]
    return "; ".join([total(standing, suites), *rates])


def failures(final: Mapping[str, EpisodeRecord]) -> list[str]:
    """Return the last FAILURES ERRORs, a line each."""
    errors = [record for record in final.values() if record.outcome is Outcome.ERROR]
    errors.sort(key=lambda record: record.finished)
    lines = [f"ERROR {record.episode.id}: {reason(record)}" for record in errors[-FAILURES:]]
    more = len(errors) - len(lines)
    return [*([f"{more} more ERRORs; the last {FAILURES}:"] if more else []), *lines]


def reason(record: EpisodeRecord) -> str:
    """Return in a line why it is an ERROR: of a traceback, how its last exception's message begins."""
    lines = record.error.strip().splitlines()
    if not lines:
        return "no reason given"
    last = max((number for number, line in enumerate(lines) if line.startswith("  File ")), default=None)
    if last is None:
        return lines[-1]
    raised = [line for line in lines[last:] if line.strip() and not line.startswith(" ")]
    return raised[0] + " …" * (len(raised) > 1) if raised else lines[-1]


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def _utc(iso: str) -> str:
    return iso.replace("T", " ").replace("+00:00", " UTC")


def clock(seconds: float) -> str:
    """Write h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _left(seconds: float | None) -> str:
    return clock(seconds) if seconds else ""
