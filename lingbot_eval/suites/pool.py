"""Worker processes on this machine: started, watched, and replaced when they die or outlast an episode's time limit;
what the lanes of such a one were playing becomes an ERROR with that reason."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from multiprocessing.connection import wait  # select() without its limit on descriptors
from pathlib import Path
from typing import Any

from lingbot_eval.errors import BadInput, LingbotEvalError
from lingbot_eval.processes import Closed, Line
from lingbot_eval.settings import RunSettings, as_struct, to_dict
from lingbot_eval.suites.sessions import Presence
from lingbot_eval.suites.store import RecordFile, RunDirectory
from lingbot_eval.suites.worker import Job, Order
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Provenance

GRACE_SECONDS = 60.0
"""A lane notices a hung simulator itself; one that does not within this is hung too (an agent stuck on a GPU)."""


Finished = tuple[int, Order, EpisodeRecord, bool]
"""Lane, what it played, how that ended, and whether no other episode may have been the cause."""


class Pool:
    def __init__(self, folder: RunDirectory, settings: RunSettings, provenance: Provenance, session: Presence) -> None:
        self._folder, self._settings, self._provenance = folder, settings, provenance
        self._session = session
        self._workers: list[_WorkerProcess] = []
        self._started = self._stillborn = 0
        self._obituaries: RecordFile | None = None

    @property
    def _lanes(self) -> list[_Lane]:
        return [lane for worker in self._workers for lane in worker.lanes]

    @property
    def busy(self) -> bool:
        return any(lane.order for lane in self._lanes)

    @property
    def idle(self) -> list[_Lane]:
        return [lane for lane in self._lanes if lane.ready and not lane.order]

    def beside(self, lane: _Lane) -> list[Episode]:
        """What its worker plays on other lanes."""
        (worker,) = (worker for worker in self._workers if lane in worker.lanes)
        return [other.order.episode for other in worker.lanes if other.order and other is not lane]

    def staff(self, waiting: int) -> None:
        """Have as many workers as there is work for."""
        sessions = self._settings.agent.sessions
        unoccupied = sum(not lane.order for lane in self._lanes)
        while len(self._workers) < self._settings.workers and unoccupied < waiting:
            taken = {worker.number for worker in self._workers}
            number = next(n for n in range(self._settings.workers) if n not in taken)
            names = [f"worker-{number}" + f"-{lane}" * (sessions > 1) for lane in range(sessions)]
            self._workers.append(_WorkerProcess(number, [self._job(name) for name in names], self._session.tmp))
            unoccupied += sessions

    def _job(self, name: str) -> Job:
        records = self._folder.path / "records" / f"{self._session.id}-{self._started}.jsonl"
        self._started += 1
        return Job(name, str(self._folder.path), str(records), self._settings, self._provenance)

    def wait(self) -> list[Finished]:
        """What has been finished, by playing or by dying, after at most a second."""
        readable = wait([lane.line.fileno() for lane in self._lanes], timeout=1.0)
        finished: list[Finished] = []
        for worker in list(self._workers):
            for lane in worker.lanes:
                if lane.line.fileno() in readable:
                    order, record = lane.order, lane.read()
                    if order is not None and record is not None:
                        finished.append((lane.number, order, record, True))
            late = [lane for lane in worker.lanes if lane.overdue(self._settings)]
            if late or any(lane.closed for lane in worker.lanes):
                finished += self._bury(worker, late)
        return finished

    def _bury(self, worker: _WorkerProcess, late: Sequence[_Lane]) -> list[Finished]:
        """All that it was playing becomes an ERROR: its lanes share one process.

        Raises LingbotEvalError when workers die without having played.
        """
        reason = f"the worker {worker.end('outlasted the time limit' if late else '')}"
        self._workers.remove(worker)
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn > self._settings.workers:
                raise LingbotEvalError(f"{reason} before its first episode; see {self._folder.path / 'logs'}")
        playing = [(lane, lane.order) for lane in worker.lanes if lane.order]
        buried: list[Finished] = []
        for lane, order in playing:
            own = reason if lane in late or not late else "the worker was stopped: another of its episodes hung"
            record = self._obituary(order, own, lane.seconds)
            buried.append((lane.number, order, record, lane in late or len(playing) == 1))
        return buried

    def close(self) -> None:
        for lane in self._lanes:
            lane.line.close()  # all of them first: each then ends its simulator while we wait for the others
        end = time.monotonic() + 3.0
        for worker in self._workers:
            worker.end(patience=max(0.0, end - time.monotonic()))

    def _obituary(self, order: Order, reason: str, seconds: float) -> EpisodeRecord:
        if self._obituaries is None:
            self._obituaries = RecordFile(self._folder.path / "records" / f"{self._session.id}-deaths.jsonl")
        record = EpisodeRecord(
            episode=order.episode,
            outcome=Outcome.ERROR,
            commands=0,
            seconds=seconds,
            error=reason,
            attempt=order.attempt,
            finished=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            provenance=self._provenance,
        )
        self._obituaries.append(record)
        return record


class _Lane:
    """Our end of a worker's lane."""

    def __init__(self, number: int, line: Line) -> None:
        self.number, self.line = number, line
        self.ready = self.closed = False
        self.order: Order | None = None
        self.last: Episode | None = None
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._since

    def play(self, order: Order) -> None:
        self.order, self.last, self._since = order, order.episode, time.monotonic()
        with contextlib.suppress(Closed):  # it died idle; wait() finds out and the order becomes an ERROR
            self.line.send(to_dict(order))

    def read(self) -> EpisodeRecord | None:
        """A finished episode's record; None when it only became ready, or has closed, or has nothing to say.

        Raises BadInput when the worker refused its job.
        """
        try:
            message: dict[str, Any] = self.line.receive(5.0)
        except (Closed, TimeoutError):
            self.closed = True
            return None
        if "refused" in message:
            raise BadInput(message["refused"])
        if "ready" in message:
            self.ready = True
            return None
        self.order = None
        record: EpisodeRecord = as_struct(message["record"], EpisodeRecord)
        return record

    def overdue(self, settings: RunSettings) -> bool:
        """Whether it must be taken for hung."""
        limits = settings.limits
        if self.order is not None:
            allowed = limits.start_seconds + limits.reset_seconds + limits.episode_seconds  # of a simulator that starts
        elif not self.ready:
            allowed = limits.load_seconds
        else:
            return False
        return self.seconds >= allowed + GRACE_SECONDS


class _WorkerProcess:
    def __init__(self, number: int, jobs: Sequence[Job], tmp: Path) -> None:
        pairs = [socket.socketpair() for _ in jobs]
        theirs = [pair[1] for pair in pairs]
        self.number = number
        self.lanes = [_Lane(number * len(jobs) + index, Line(ours)) for index, (ours, _) in enumerate(pairs)]
        command = [sys.executable, "-m", "lingbot_eval.suites.worker", "--parent", str(os.getpid())]
        command += ["--sockets", ",".join(str(end.fileno()) for end in theirs)]
        folder = Path(jobs[0].folder)
        with (folder / "logs" / f"worker-{number}.log").open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[end.fileno() for end in theirs],
                start_new_session=True,  # so that Ctrl-C reaches us alone
                env={**os.environ, "TMPDIR": str(tmp.resolve())},
            )
        for end, lane, job in zip(theirs, self.lanes, jobs, strict=True):
            end.close()
            with contextlib.suppress(Closed):  # wait() finds out
                lane.line.send(to_dict(job))

    @property
    def ready(self) -> bool:
        return any(lane.ready for lane in self.lanes)

    def end(self, how: str = "", patience: float = 3.0) -> str:
        """Kill it, with the simulators that it started, and say how it had ended."""
        for lane in self.lanes:
            lane.line.close()
        if not how:
            try:
                code = self._process.wait(patience)
                how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
            except subprocess.TimeoutExpired:
                how = "was stopped"
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        return how
