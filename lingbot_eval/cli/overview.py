"""How a run stands, on a screen: who plays what, where the seconds went, the rates so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lingbot_eval.reports.table import Row, label, percents, rows
from lingbot_eval.suites.lanes import PARTS, LaneState, together
from lingbot_eval.suites.sessions import Life
from lingbot_eval.suites.status import Player, Standing
from lingbot_eval.types import EpisodeRecord, Outcome

WIDE = 110
"""Columns from which on all PARTS are shown; on fewer, those of NARROW in one."""

NARROW = ("starting", "recording", "other")

FAILURES = 3
"""The last ones are shown."""


def overview(standing: Standing, width: int, height: int | None = None) -> RenderableType:
    """On at most ``height`` lines, as far as lanes can be left out."""
    suites = of_suites(standing)
    players = standing.playing or standing.players[-1:]
    room = None if height is None else height - len(suites) - 2 - len(players)
    lines: list[RenderableType] = []
    for number, player in enumerate(players):
        lanes = named(player.lanes, player.session.settings.get("agent", {}).get("sessions", 1))
        share = None if room is None else room // (len(players) - number)
        lines.append(head(player))
        if lanes and (share is None or share > 1):
            lines.append(lane_table(lanes, player.plays, width, share))
            room = None if room is None or share is None else room - min(share, len(lanes) + 1 + (len(lanes) > 1))
    return Group(*lines, suite_table(standing, suites), Text(total(standing)))


def head(player: Player) -> Text:
    """Who plays, since when, and whether it does."""
    session, life = player.session, player.life
    where = f"{session.host} {session.process.pid}"
    did = f"{counted(together(player.lanes.values()).played, 'episode')} in {clock(player.seconds)}"
    words = {
        Life.PLAYS: f"plays since {session.started}, {did}",
        Life.ENDED: f"ended {session.ended}, {did}",
        Life.DIED: f"died; until heartbeat {player.counter}: {did}",
        Life.UNKNOWN: f"last heartbeat seen: {player.counter}, {did}; nobody here can tell yet whether it still plays",
    }
    rate = f", {player.per_hour:.0f} episodes/h" if player.per_hour else ""
    return Text(f"{where}: {words[life]}{rate}", overflow="ellipsis", no_wrap=True)


def named(lanes: Mapping[int, LaneState], sessions: int) -> dict[str, LaneState]:
    """By the worker's number, and which of its lanes where it has several (``sessions``)."""
    if sessions == 1:
        return {str(number): state for number, state in lanes.items()}
    return {f"{number // sessions}-{number % sessions}": state for number, state in lanes.items()}


def lane_table(lanes: Mapping[str, LaneState], plays: bool, width: int, room: int | None = None) -> RenderableType:
    """A line per lane, under a heading, and one for all of them; those that have played an episode for longest where
    that is more than ``room`` lines. ``plays``: what they play, too."""
    shares = [part for part in PARTS if width >= WIDE or part not in NARROW]
    headings = [*shares, *(["rest"] if width < WIDE else [])]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim", width=width if plays else None)
    table.add_column("worker", no_wrap=True)
    if plays:
        table.add_column("plays", no_wrap=True, overflow="ellipsis", ratio=1)
    for heading in (*(["for"] if plays else []), "played", *headings):
        table.add_column(heading, justify="right", no_wrap=True)
    shown = list(lanes)
    if room is not None and len(lanes) + 2 > room:
        longest = sorted(lanes, key=lambda name: -lanes[name].seconds)[: max(0, room - 2)]
        shown = [name for name in lanes if name in longest]
    for name in shown:
        state = lanes[name]
        playing = [escape(state.episode.partition("/")[2]), clock(state.seconds) if state.episode else ""]
        table.add_row(name, *(playing if plays else []), *_numbers(state, headings))
    if len(lanes) > 1:
        busy = sum(bool(state.episode) for state in lanes.values())
        words = f"{busy} play" + (f", {len(lanes) - busy} wait" if busy < len(lanes) else "")
        words += f" ({len(shown)} longest shown)" if len(shown) < len(lanes) else ""
        table.add_row(
            f"all {len(lanes)}", *([words, ""] if plays else []), *_numbers(together(lanes.values()), headings)
        )
    return table


def _numbers(state: LaneState, headings: Sequence[str]) -> list[str]:
    """Records, and the shares of the seconds until now."""
    seconds = {part: getattr(state, part) for part in PARTS}
    seconds["rest"] = sum(seconds[part] for part in NARROW)
    whole = sum(seconds[part] for part in PARTS)
    shares = [f"{100 * seconds[name] / whole:.0f} %" if whole else "" for name in headings]
    return [str(state.played), *shares]


def suite_table(standing: Standing, suites: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("suite", no_wrap=True, overflow="ellipsis")
    for heading in ("played", "SR %", "95 % interval", "errors", "time left"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in suites:
        rate = "–" if row.rate is None else f"{100 * row.rate:.1f}"
        interval = "–" if row.interval is None else percents(row.interval)
        errors = f"[red]{row.cell.errors}[/red]" if row.cell.errors else ""
        episodes = [episode for episode in standing.plan if label(episode) == row.suite]
        left = _left(standing.seconds_left(episodes))
        table.add_row(row.suite, f"{row.cell.trials}/{row.cell.planned}", rate, interval, errors, left)
    return table


def of_suites(standing: Standing) -> list[Row]:
    return [row for row in rows(standing.plan, standing.final) if not row.task]


def total(standing: Standing) -> str:
    """One line."""
    suites = of_suites(standing)
    trials, planned = (sum(getattr(row.cell, name) for row in suites) for name in ("trials", "planned"))
    errors = sum(row.cell.errors for row in suites)
    words = [f"{trials} of {planned} episodes"]
    if len(suites) == 1 and (row := suites[0]).rate is not None and row.interval is not None:
        words.append(f"SR {100 * row.rate:.1f} % ({percents(row.interval)})")
    if errors:
        words.append(counted(errors, "error"))
    if standing.playing:
        words.append(f"{standing.per_hour:.0f} episodes/h" if standing.per_hour else "no result yet")
        if left := _left(standing.seconds_left(standing.plan)):
            words.append(f"{left} left")
    elif trials < planned:
        words.append("nobody plays; the same command goes on")
    return ", ".join(words)


def failures(final: Mapping[str, EpisodeRecord]) -> list[str]:
    """The last FAILURES ERRORs, a line each."""
    errors = [record for record in final.values() if record.outcome is Outcome.ERROR]
    errors.sort(key=lambda record: record.finished)
    lines = [f"ERROR {record.episode.id}: {reason(record)}" for record in errors[-FAILURES:]]
    more = len(errors) - len(lines)
    return [*([f"{more} more ERRORs; the last {FAILURES}:"] if more else []), *lines]


def reason(record: EpisodeRecord) -> str:
    """Of an ERROR, in a line."""
    return record.error.strip().splitlines()[-1] if record.error.strip() else "no reason given"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def clock(seconds: float) -> str:
    """h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _left(seconds: float | None) -> str:
    return f"about {clock(seconds)}" if seconds else ""
