"""What a worker says is checked before it counts, and none holds the coordinator up."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from lingbot_eval.errors import NotReady
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.worker import Job
from lingbot_eval.runs.workers import Ended, WorkerProcess
from lingbot_eval.settings import SuiteSettings
from lingbot_eval.types import Outcome, Provenance
from tests.conftest import IMPATIENT, toy_run
from tests.hosts import simulator, with_orphan
from tests.processes import running, wait_for
from tests.runs.test_coordinator import carry_on

ONE = SuiteSettings(name="toy", suites=("toy",), tasks=("reach",), settings=(), episodes=1, seed=None, manifest=None)

WORKER = """
import dataclasses, os, socket, sys, time
from lingbot_eval.runs import worker
from lingbot_eval.runs.worker import Lane, Order, Played, Ready

def raw(data):
    socket.socket(fileno=os.dup(int(sys.argv[4].split(",")[0]))).sendall(data)

honest = Lane.play

def play(self, order):
    record = honest(self, order)
    {change}
    return record

Lane.play = play
{script}
sys.argv = sys.argv[2:]
worker.main()
"""


def worker(folder: Path, change: str = "pass", script: str = "") -> str:
    """An interpreter in which a worker does ``change`` when it has played, and begins with ``script``."""
    interpreter = folder / "worker"
    interpreter.write_text(f"#!{sys.executable}\n{WORKER.format(change=change, script=script)}")
    interpreter.chmod(0o755)
    return str(interpreter)


def deaths(folder: Path) -> list[str]:
    """Why workers were ended over one episode of the toy."""
    carry_on(folder / "run", toy_run(suite=ONE, limits=IMPATIENT))
    records = RunDirectory(folder / "run").records()
    assert records.torn == []
    return [record.error for record in records.all if record.outcome is Outcome.ERROR]


def test_an_honest_worker_is_believed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", worker(tmp_path))
    assert deaths(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("raw(b'garbage\\n')", "the worker said what no worker says: JSON is malformed"),
        ("raw(b'\\xff\\n')", "the worker said what no worker says"),
        ('raw(b\'{"type": "ended", "how": "well"}\\n\')', "no worker says: Invalid value 'ended'"),
        ("raw(b'x' * 50_000_000)", "more than 4194304 bytes without an end"),
        ("record = dataclasses.replace(record, attempt=7)", "attempt 7, which was not asked for"),
        ("record = dataclasses.replace(record, progress=1e9)", "said what cannot be: progress 1000000000.0 of 1"),
        ("record = dataclasses.replace(record, commands=float('nan'))", "Expected int, got null"),
    ],
    ids=["garbage", "no UTF-8", "ended", "endless", "another attempt", "progress", "NaN"],
)
def test_a_worker_that_says_what_none_can_is_ended_with_its_words(tmp_path, monkeypatch, change, words):
    monkeypatch.setattr(sys, "executable", worker(tmp_path, change))
    assert words in deaths(tmp_path)[0]


def test_a_worker_that_takes_no_message_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", worker(tmp_path, script="time.sleep(600)"))
    provenance = Provenance("expert", "", "toy", "", {"x": "y" * 3_000_000}, "here")
    job = Job(str(tmp_path), "records", str(tmp_path / "log"), "log", str(tmp_path), toy_run(), provenance)
    start = time.monotonic()
    process = WorkerProcess([job], {})
    try:
        assert process.heard() == [(0, Ended("took no message within 3 s"))]
    finally:
        process.end(0.0)
    assert time.monotonic() - start < 10.0


def test_a_worker_that_prints_without_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("lingbot_eval.processes.PRINTED_BYTES", 10_000_000)
    monkeypatch.setattr(sys, "executable", worker(tmp_path, "os.write(1, b'x' * 20_000_000); time.sleep(5)"))
    assert "the worker has printed more than 0.01 GB to " in deaths(tmp_path)[0]


def test_what_the_simulator_of_a_killed_worker_leaves_behind_ends_with_it(tmp_path):
    killed, orphan = tmp_path / "killed", tmp_path / "pid"
    kills = f"""
left = Host.step
def step(self, action):
    said = left(self, action)
    if not os.path.exists({str(killed)!r}):
        open({str(killed)!r}, "w")
        os.kill(os.getppid(), 9)
        time.sleep(600)
    return said
Host.step = step
"""
    simulated = simulator(tmp_path, with_orphan(orphan) + kills)
    final, _ = carry_on(tmp_path / "run", toy_run(env=simulated, suite=ONE, limits=IMPATIENT))
    assert [record.outcome for record in final.values()] == [Outcome.SUCCESS]
    assert killed.exists()
    wait_for(lambda: not running(int(orphan.read_text())), 5.0)


def test_no_workers_log_is_written_through_a_link(tmp_path):
    log, theirs = tmp_path / "log", tmp_path / "theirs"
    theirs.write_text("precious")
    log.symlink_to(theirs)
    provenance = Provenance("expert", "", "toy", "", {}, "here")
    job = Job(str(tmp_path), "records", str(log), "log", str(tmp_path), toy_run(), provenance)
    with pytest.raises(NotReady, match=f"cannot write to {log}"):
        WorkerProcess([job], {})
    assert theirs.read_text() == "precious"
