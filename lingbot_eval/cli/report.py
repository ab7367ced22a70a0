"""``lingbot-eval report RUN [RUN ...]``, and the end of every run: tables on the screen and in ``RUN/report``.

``table.md`` and ``table.csv`` are one run's, task by task with intervals; ``index.html`` is its page. ``paper.*`` are
the tables that papers print, of all given runs and of published methods.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from lingbot_eval import files
from lingbot_eval.cli.places import content
from lingbot_eval.cli.screen import Screen, screen
from lingbot_eval.errors import NotReady, UnknownName
from lingbot_eval.plain import say
from lingbot_eval.reports import page
from lingbot_eval.reports import paper_tables as shapes
from lingbot_eval.reports import table as tables
from lingbot_eval.reports.formats import FORMATS
from lingbot_eval.reports.methods import Run, methods, published
from lingbot_eval.reports.published import require
from lingbot_eval.reports.sheet import TIE, Cell, Sheet
from lingbot_eval.runs import contents
from lingbot_eval.runs.contents import Contents
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.types import EpisodeRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", metavar="RUN", type=content, nargs="+", help="the first is what the others are compared with"
    )
    parser.add_argument("--against", metavar="A,B", default="", help="published methods (lingbot-eval ls published)")
    parser.add_argument("--format", metavar="F,G", default=",".join(FORMATS), help="default: %(default)s")


def report(given: argparse.Namespace) -> int:
    """Raises BadInput, CorruptRecords and NotReady."""
    against, formats = listed(given.against), listed(given.format)
    for name in formats:
        if name not in FORMATS:
            raise UnknownName("format", name, FORMATS)
    said = [contents.read(RunDirectory(Path(run))) for run in given.runs]
    alone, console = len(said) == 1, screen()
    for one in said:
        warn(one)
    sheets = paper_tables([run_of(one) for one in said], against)
    if alone:
        _report(said[0], console)
    if not alone or against:
        for sheet in sheets:
            print_sheet(sheet, console)
    written = _write(said[0].folder, {f"paper.{name}": FORMATS[name](sheets) for name in formats})
    console.print(", ".join(written))
    return 0


def listed(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def paper_tables(runs: Sequence[Run], against: Sequence[str]) -> list[Sheet]:
    """Make the tables that papers print, in the shape of the runs' benchmark.

    Raises BadInput for runs of several benchmarks, and for methods that are not published for theirs.
    """
    first, ours = runs[0], methods(runs)
    require(first.benchmark, against)
    return shapes.sheets(first.benchmark, lambda file: [*ours, *published(file, against, first)])


def write_report(folder: RunDirectory, quiet: bool = False) -> Mapping[str, EpisodeRecord]:
    """Print and write one run's tables, or only write them (``quiet``); return the final record of every planned
    episode that has one.

    Raises BadInput, CorruptRecords and NotReady.
    """
    said = contents.read(folder)
    if not quiet:
        warn(said)
    _report(said, screen(quiet))
    return said.final


def _report(said: Contents, console: Screen) -> None:
    book, folder = page.Book(said), said.folder
    _print(book.rows, tables.paper_row(book.rows, run_of(said).benchmark), console)
    console.print(tables.caption(said.run.experiment, book.rows), style="dim")
    text = {
        "table.md": tables.markdown(said.run.experiment, book.rows),
        "table.csv": tables.as_csv(said.run.experiment, book.rows),
    }
    written = [*_write(folder, text), str(book.write(folder.path / "report"))]
    console.print(", ".join(written))
    for video in sorted(folder.path.glob("videos/*/*.mp4"))[:3]:
        console.print(f"{video}")


def run_of(said: Contents) -> Run:
    """Return what tables of several runs are made of; records of episodes that are not planned are left out."""
    return Run(str(said.folder.path), said.run.experiment, said.plan, said.final)


def warn(said: Contents) -> None:
    """Warn of records that are not planned, torn lines, files without checksums, and files that count nowhere."""
    for sentence in said.warnings():
        say(f"lingbot-eval: {sentence}", file=sys.stderr)


def _write(folder: RunDirectory, texts: Mapping[str, str]) -> list[str]:
    """Write ``texts`` (by file name) into ``report``; return their paths."""
    target = folder.path / "report"
    try:
        files.made(target)
        for name, text in texts.items():
            files.write_whole(target / name, text.encode())  # another session may write its own at the same time
    except OSError as error:
        raise NotReady(f"cannot write to {target}: {error.strerror}") from None
    return [str(target / name) for name in texts]


def print_sheet(sheet: Sheet, console: Screen) -> None:
    table = Table(title=sheet.title, title_justify="left", show_edge=False, pad_edge=False)
    above = [words for group, columns in sheet.groups for words in (group, *[Cell("")] * (columns - 1))]
    for number, heading in enumerate(sheet.headings):
        words = f"{above[number].text} [{above[number].mark}]\n" if above and above[number].text else "\n" * bool(above)
        table.add_column(Text(words + heading.text), justify="left" if number < sheet.words else "right")
    for number, row in enumerate(sheet.rows):
        table.add_row(*map(_text, row), end_section=number + 1 in sheet.rules)
    console.print(table)
    for words in (sheet.caption, *(f"[{letter}] {note}" for letter, note in sheet.notes)):
        console.print(words, style="dim")


def _print(rows: list[tables.Row], paper: list[tables.PaperCell] | None, console: Screen) -> None:
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("Task", overflow="fold")
    for heading in tables.HEADINGS[2:]:
        table.add_column(heading, justify="right")
    for row in rows:
        _, task, *numbers = tables.texts(row)
        label = task if row.task else f"{row.suite}, {task}"
        table.add_row(label, *numbers, style="" if row.task else "bold", end_section=not row.task)
    console.print(table)
    if paper and len({row.suite for row in rows}) > 1:
        line = Table(show_edge=False, pad_edge=False)
        line.add_column("SR %")
        for known in paper:
            line.add_column(known.heading, justify="right")
        line.add_row("", *(known.rate for known in paper))
        line.add_row("N", *(str(known.trials) for known in paper))
        console.print(line)


def _text(cell: Cell) -> Text:
    mark = {"": "", TIE: f" {TIE}"}.get(cell.mark, f" [{cell.mark}]")
    return Text(cell.text + mark, style={"best": "bold", "second": "underline", "": ""}[cell.rank])
