"""``lingbot-eval status RUN`` says how a run stands, on any machine that sees its directory, and writes nothing."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.live import Live

from lingbot_eval.cli.overview import failures, line, overview
from lingbot_eval.cli.places import content
from lingbot_eval.cli.screen import Screen, screen
from lingbot_eval.plain import say
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.presence import HEARTBEAT_SECONDS, Life
from lingbot_eval.runs.status import Standing, StatusReader

READ_SECONDS = 2.0
"""``--watch`` reads the directory so often."""

LINE_SECONDS = 60.0
"""``--watch`` prints a line so often where there is no terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=content)
    parser.add_argument("--watch", action="store_true", help="go on until nobody plays any more")


def status(given: argparse.Namespace) -> int:
    """Raises BadInput and CorruptRecords."""
    reader, console = StatusReader(RunDirectory(Path(given.run))), screen()
    standing = settled(reader)
    if given.watch:
        standing = watched(reader, console, standing)
    for sentence in (*standing.warnings, *reader.folder.strangers()):
        say(f"lingbot-eval: {sentence}", file=sys.stderr)
    console.print(overview(standing, console.width))
    for sentence in failures(standing.final):
        console.print(sentence, soft_wrap=True)
    return 0


def settled(reader: StatusReader) -> Standing:
    """Read until a coordinator on another machine has been heard twice, where there is one."""
    end = time.monotonic() + 2 * HEARTBEAT_SECONDS
    while True:
        standing = reader.read()
        if all(player.life is not Life.UNKNOWN for player in standing.players) or time.monotonic() > end:
            return standing
        time.sleep(0.5)


def watched(reader: StatusReader, console: Screen, standing: Standing) -> Standing:
    """Show how the run stands until nobody plays any more, and return how it stands then."""
    said = time.monotonic()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while standing.playing:
            if console.is_terminal:
                live.update(overview(standing, console.width, console.height - 1), refresh=True)
            elif time.monotonic() - said >= LINE_SECONDS:
                console.print(line(standing))
                said = time.monotonic()
            time.sleep(READ_SECONDS)
            standing = reader.read()
    return standing
