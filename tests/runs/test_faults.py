"""What becomes of a run whose disk is full or read-only, or which is stopped and comes back: real processes, real
file systems. ``docs/reliability.md`` lists what else is promised, and which test holds it to that."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import PIPE

import pytest

from lingbot_eval.cli.lingbot_eval import main as lingbot_eval
from lingbot_eval.cli.run_suite import main
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.types import Outcome
from tests.processes import children, wait_for

HASTY = """
import sys
from lingbot_eval.runs import coordinator as local
from lingbot_eval.runs import presence as sessions
sessions.HEARTBEAT_SECONDS, local.RECALL_SECONDS = 0.2, 0.2
sessions.Watch.__init__.__defaults__ = (2.0,)  # the lease
from lingbot_eval.cli.run_suite import main
sys.exit(main(sys.argv[1:]))
"""
"""A run-suite that takes others for dead after seconds, not minutes."""

SLOW = "env.faults={0:slow,1:slow,2:slow,3:slow,4:slow,5:slow}"
ALL = 12


def toy(run: Path, *more: str) -> list[str]:
    """Of twelve episodes that take a fifth of a second each."""
    return ["toy", "--episodes", "6", SLOW, "--out", str(run), *more]


def start(arguments: list[str], how: Sequence[str] = ("-m", "lingbot_eval.cli.run_suite")) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, *how, *arguments], stdout=PIPE, stderr=PIPE, text=True)


def hasty(arguments: list[str]) -> subprocess.Popen[str]:
    return start(arguments, ("-c", HASTY))


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A file system of one megabyte."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip() or 'no root'}")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return ballast


def has_recorded(run: Path) -> bool:
    return any(file.stat().st_size for file in (run / "records").glob("*.jsonl"))


def test_a_disk_that_becomes_full_ends_the_run_in_one_line_and_with_room_it_goes_on(disk, capsys):
    run = disk / "run"
    with start(toy(run, "--workers", "2")) as process:
        wait_for(lambda: has_recorded(run), 60.0)
        ballast = fill(disk)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "No space left on device" in err.splitlines()[-1]
    assert "Traceback" not in err
    ballast.unlink()
    kept = RunDirectory(run).records()
    assert kept.torn == []
    assert main(toy(run)) == 0
    assert f"{ALL - len(kept.done())} to play" in capsys.readouterr().out
    assert len(RunDirectory(run).records().done()) == ALL


@pytest.mark.parametrize("take", [shutil.rmtree, lambda run: run.rename(run.with_name("elsewhere"))])
def test_a_run_directory_that_vanishes_ends_the_run_at_once_in_one_line(tmp_path, take):
    run = tmp_path / "run"
    with start(toy(run)) as process:
        wait_for(lambda: has_recorded(run), 60.0)
        before = time.monotonic()
        take(run)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert re.search(rf"^run-suite: {run}.* is gone|^run-suite: cannot go on in {run}", err.splitlines()[-1])
    assert "Traceback" not in err
    assert time.monotonic() - before < 30
    assert not run.exists()


def test_in_a_read_only_run_directory_nothing_is_played_and_its_table_is_shown(disk, capsys):
    run = disk / "run"
    assert main(toy(run, "--tasks", "reach")) == 0
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for arguments in (toy(run), toy(run, "--tasks", "reach"), toy(disk / "another")):
        capsys.readouterr()
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert "Read-only file system" in err
        assert err.count("\n") == 1
    assert lingbot_eval(["report", str(run)]) == 2
    out, err = capsys.readouterr()
    assert "6/6" in out
    assert "Read-only file system" in err


def test_a_run_that_stood_still_and_was_taken_for_dead_comes_back_and_goes_on(tmp_path):
    """All of it stands still, as on a suspended machine; another plays its episode and tidies up behind it."""
    run = tmp_path / "run"
    with hasty(toy(run)) as stopped, contextlib.ExitStack() as stack:
        stack.callback(resume, stopped.pid)
        episode = stop_while_it_plays(run, stopped.pid)
        assert main_hasty(toy(run, "--tasks", episode.split("/")[1])) == 0
        assert not list((run / "tmp").glob(f"*-{stopped.pid}-*"))
        resume(stopped.pid)
        out, err = stopped.communicate(timeout=120)
    assert (stopped.returncode, err) == (0, "")
    assert "12/12" in out
    records = RunDirectory(run).records()
    assert {record.outcome for record in records.all} == {Outcome.SUCCESS}  # none is lost with the folder
    twice = [id for id, count in Counter(record.episode.id for record in records.all).items() if count > 1]
    assert twice == [episode]
    assert records.final()[episode].attempt == 1


JUMPING = """
import datetime, random, time
true = datetime.datetime

class Jumping(true):
    @classmethod
    def now(cls, zone=None):
        return true.now(zone) + datetime.timedelta(days=random.uniform(-9000, 9000))

datetime.datetime = Jumping
seconds = time.time
time.time = lambda: seconds() + random.uniform(-1e9, 1e9)
"""
"""Every look at the wall clock shows another year."""


def test_under_clocks_that_jump_and_kill_9_each_episode_is_played_once(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(JUMPING)  # which every Python that we start imports
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    run = tmp_path / "run"
    with start(toy(run)) as killed:
        wait_for(lambda: has_recorded(run), 60.0)
        killed.kill()
    both = [start(toy(run)) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    records = RunDirectory(run).records()
    assert Counter(record.episode.id for record in records.all) == Counter(dict.fromkeys(records.done(), 1))
    assert len(records.done()) == ALL
    assert len({record.finished[:4] for record in records.all}) > 2


def main_hasty(arguments: list[str]) -> int:
    with hasty(arguments) as process:
        process.communicate(timeout=120)
    return process.returncode


def stop_while_it_plays(run: Path, coordinator: int) -> str:
    """Stop it with all its processes; the id of the episode that is being played."""
    while True:
        wait_for(lambda: has_recorded(run) and claims(run), 60.0)
        for pid in family(coordinator)[::-1]:  # the simulator first
            os.kill(pid, signal.SIGSTOP)
        time.sleep(0.1)
        claimed = [claim["episode"] for claim in claims(run)]
        if claimed and claimed[0] not in RunDirectory(run).records().final():
            return claimed[0]
        resume(coordinator)


def resume(coordinator: int) -> None:
    for pid in family(coordinator):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def family(pid: int) -> list[int]:
    return [pid, *(descendant for child in children(pid) for descendant in family(child))]


def claims(run: Path) -> list[dict[str, str]]:
    return [json.loads(file.read_text()) for file in (run / "claims").glob("[!.]*")]
