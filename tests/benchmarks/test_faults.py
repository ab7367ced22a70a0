"""A small run of the benchmark that kills what plays; and that it would notice."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import faults
from lingbot_eval.cli.run_suite import main
from lingbot_eval.lines import MEMBER, LineWriter
from lingbot_eval.runs.directory import RunDirectory


def test_ten_kills_of_whatever_plays_lose_nothing_and_count_nothing_twice(tmp_path, capsys):
    assert faults.main(["--faults", "10", "--toy", "15", "--tabletop", "0", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "as undisturbed" in out
    assert "10 faults over " in out.splitlines()[-1]
    assert "nothing lost, nothing twice" in out.splitlines()[-1]


def lose(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


def alter(lines: list[bytes]) -> list[bytes]:
    return [lines[0].replace(b'"success"', b'"failure"'), *lines[1:]]


def invent(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[0].replace(b'"seed":0', b'"seed":77')]


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("played") / "run"
    assert main(["toy", "--episodes", "2", "--out", str(path)]) == 0
    return path


@pytest.mark.parametrize(
    ("damage", "said"),
    [(lambda lines: lines, None), (lose, "lost"), (alter, "another result"), (invent, "never planned")],
    ids=["nothing", "lost", "altered", "invented"],
)
def test_a_record_that_is_lost_altered_or_invented_is_found(
    damage: Callable[[list[bytes]], list[bytes]], said: str | None, played: Path, tmp_path: Path
):
    run = faults.Run(tmp_path / "run", faults.toy(2))
    shutil.copytree(played, run.path, dirs_exist_ok=True)
    (file,) = (run.path / "records").iterdir()
    lines = damage(file.read_bytes().splitlines(keepends=True))
    file.unlink()
    with contextlib.closing(LineWriter(file)) as writer:  # with checksums: what is wrong here is no damage to a file
        for line in lines:
            writer.append(MEMBER.sub(b"}", line))
    tally = faults.Tally()
    faults.check(run, RunDirectory(played).records().final(), tally)
    assert (said in tally.wrong[0]) if said else (tally.wrong == [])
