"""``lingbot-eval status``, and what ``run-suite`` shows: on real small runs, and on screens of several sizes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from lingbot_eval.cli import lingbot_eval, run_suite
from lingbot_eval.cli.overview import overview
from lingbot_eval.reports.stats.intervals import wilson
from lingbot_eval.reports.table import percents
from lingbot_eval.runs.lanes import LaneState
from lingbot_eval.runs.presence import Coordinator, Life, Process
from lingbot_eval.runs.status import Player, Standing, scores
from lingbot_eval.types import Episode, EpisodeRecord, Outcome
from tests.processes import wait_for


def toy(folder: Path, *more: str) -> list[str]:
    return ["toy", "--episodes", "3", "--out", str(folder / "run"), *more]


def status(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert lingbot_eval.main(["status", str(folder / "run"), *more]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_a_run_that_is_over_says_where_its_workers_time_went_and_status_says_the_same(tmp_path, capsys):
    assert run_suite.main(toy(tmp_path, "--workers", "2")) == 0
    said = capsys.readouterr().out
    shown = status(tmp_path, capsys)
    (all_of_run,) = (line for line in said.splitlines() if line.startswith("all 2"))
    assert all_of_run in shown
    assert "ended 2" in shown
    assert f"toy       6/6  100.0     {percents(wilson(6, 6))}" in shown
    assert "6 of 6 episodes" in shown
    for number in (0, 1):
        (log,) = [file.read_text() for file in (tmp_path / "run" / "logs").glob(f"*-worker-{number}.log")]
        assert f"worker-{number}: played " in log
        assert ", waiting 0.0 s, recording " in log


def test_while_a_run_goes_on_its_status_says_who_plays_what_and_watching_ends_when_nobody_does(tmp_path, capsys):
    hang = [f"env.faults.{number}=hang" for number in range(3)]
    command = [sys.executable, "-m", "lingbot_eval.cli.run_suite", *toy(tmp_path, "--workers", "2", *hang)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
        wait_for(lambda: run.poll() is not None or _lanes(tmp_path / "run"))
        shown = status(tmp_path, capsys)
        watch = [sys.executable, "-m", "lingbot_eval.cli.lingbot_eval", "status", str(tmp_path / "run"), "--watch"]
        with subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as watching:
            time.sleep(1)
            assert watching.poll() is None
            run.send_signal(signal.SIGKILL)
            watched, _ = watching.communicate(timeout=20)
    assert ": plays since " in shown
    assert "2 play" in shown
    assert "reach/-/0" in shown
    assert "0 of 6 episodes, no result yet" in shown
    assert "died; until heartbeat " in watched
    assert "0 of 6 episodes, nobody plays: run-suite goes on" in watched


def _lanes(run: Path) -> bool:
    """Whether a heartbeat has two lanes."""
    return any(b'"1":' in file.read_bytes() for file in run.glob("sessions/*.live.json"))


def test_the_reason_of_an_error_is_shown(tmp_path, capsys):
    assert run_suite.main(toy(tmp_path, "--tasks", "reach", "env.faults.1=raise")) == 1
    capsys.readouterr()
    shown = status(tmp_path, capsys)
    assert "ERROR toy/reach/-/1/-: " in shown
    assert "the toy was told to raise" in shown
    assert "2 of 3 episodes, 1 error" in shown


def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path, capsys):
    assert lingbot_eval.main(["status", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"lingbot-eval: {tmp_path} is not a run directory: it has no run.json\n"


PLAN = [Episode("robotwin", "place_the_very_long_thing", 10_000 + k, "do", setting="easy") for k in range(100)]


def busy(lanes: int, pid: int = 7, host: str = "node-1") -> Player:
    states = {n: LaneState(PLAN[n].id, 10.0 * n, 40, 1, 10.0, 700.0, 2000.0, 50.0, 3.0, 4.0, 5.0) for n in range(lanes)}
    process = Process("b", "n", pid, "1")
    session = Coordinator("run-suite", host, process, {}, {"agent": {"sessions": 1}}, 10, "2030-01-01T00:00:00+00:00")
    return Player(session, Life.PLAYS, 5, 3000.0, states)


def drawn(players: list[Player], width: int, height: int | None) -> list[str]:
    final = [EpisodeRecord(episode, Outcome.SUCCESS, 5, 9.0) for episode in PLAN[70:]]
    standing = Standing(scores(PLAN, final), players, {("robotwin", PLAN[0].task, "easy"): 9.0})
    console = Console(width=width, color_system=None)
    with console.capture() as shown:
        console.print(overview(standing, width, height))
    return shown.get().splitlines()


@pytest.mark.parametrize("players", [[busy(2)], [busy(64)], [busy(4, 30_000 + k, f"node-{k}") for k in range(16)]])
@pytest.mark.parametrize(("width", "height"), [(80, 23), (200, 49), (66, 12), (80, 5)])
def test_a_screen_is_never_too_small_for_the_totals(players, width, height):
    lines = drawn(players, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert lines[-2].startswith("robotwin easy  30/100  100.0")
    assert lines[-1].startswith("30 of 100 episodes, ")


def test_of_many_lanes_those_are_shown_that_have_played_an_episode_for_longest():
    lines = drawn([busy(64)], 120, 20)
    assert [line.split()[0] for line in lines if "place_the" in line] == [str(n) for n in range(50, 64)]
    assert any("64 play; above: the 14 longest" in line for line in lines)
    assert len([line for line in drawn([busy(64)], 120, None) if "place_the" in line]) == 64
