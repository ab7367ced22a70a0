"""What a large run costs, on runs as ``benchmarks/size.py`` makes them: by record, whatever the machine."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest

from benchmarks import size
from lingbot_eval.reports import page
from lingbot_eval.runs import contents
from lingbot_eval.runs.contents import Contents
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.types import Outcome

FEW, MANY = 1_000, 5_000


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[int, RunDirectory]:
    folder = tmp_path_factory.mktemp("runs")
    return {count: size.make(folder / str(count), count) for count in (FEW, MANY)}


def test_a_run_is_what_workers_leave(runs):
    said = contents.read(runs[FEW])
    assert len(said.final) == len(said.plan) == FEW
    assert {record.outcome for record in said.final.values()} == {Outcome.SUCCESS, Outcome.FAILURE}
    assert 0 < len(said.records.superseded()) < 3 * size.ERRORS * FEW
    assert (said.records.torn, said.warnings()) == ([], [])


def test_a_record_is_held_in_less_than_its_line_takes(runs):
    """What thousands of lines have in common, two thirds of each, is held once."""
    tracemalloc.start()
    said = contents.read(runs[MANY])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    line = sum(file.stat().st_size for file in (said.folder.path / "records").iterdir()) / len(said.records.all)
    assert held / MANY < 0.7 * line


def test_the_cost_of_a_record_does_not_grow_with_their_number(runs):
    few, many = (min(cost(runs[count], contents.read, page.Book, parts) for _ in range(3)) / count for count in runs)
    assert many < 2 * few


def cost(folder, *steps) -> float:
    """Seconds of this process."""
    start, given = time.process_time(), folder
    for step in steps:
        given = step(given)
    return time.process_time() - start


def parts(book: page.Book) -> list[str]:
    return [book.part(number) for number in range(max(1, book.listing.parts))]


def test_what_a_page_holds_itself_does_not_grow_with_the_episodes(runs, tmp_path):
    sizes = {}
    for count, folder in runs.items():
        book: page.Book = page.Book(contents.read(folder))
        assert book.listing.parts == (0 if count == FEW else 3)
        sizes[count] = book.write(tmp_path / str(count)).stat().st_size
    assert sizes[MANY] < sizes[FEW]
    assert len(list((tmp_path / str(MANY) / "parts").glob("*/*.js"))) == 3


def test_one_more_record_is_read_alone(runs, tmp_path):
    reader = contents.Reader(runs[MANY])
    said: Contents = reader.read()
    first, again = said.records.all[0], reader.read()
    assert again.records.all[0] is first
    assert again.plan is said.plan


def test_the_benchmark_says_what_each_command_takes(tmp_path, capsys):
    size.measure(Path(tmp_path), 200, ["report", "status", "view"])
    said = capsys.readouterr().out
    for words in ("200 episodes", "report: ", "status: ", "again ", "page: ", "poll "):
        assert words in said
