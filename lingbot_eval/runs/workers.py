"""Worker processes (``worker.py``) are started, told what to play, heard and ended: here on this machine, in
``ray_workers.py`` on others."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait  # select() without its limit on descriptors
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.gpus import require, visible
from lingbot_eval.processes import CLOSED, Closed, Connection, Garbled, Kin, Log, decoded, how_it_ended
from lingbot_eval.runs.worker import Job, Order, Played, Ready, Refused
from lingbot_eval.settings import LocalSettings, RaySettings, RunSettings

GRACE_SECONDS = 60.0
"""A lane notices a hung simulator itself; one that does not within this is hung too (an agent stuck on a GPU)."""

PATIENCE = 3.0
"""Within so many seconds a worker that was told to end must have ended its simulators, and any must have taken a
message."""


JOB_BYTES = 1 << 18
"""A job has some 10 kB."""


class Ended(msgspec.Struct, tag="ended", forbid_unknown_fields=True):
    """This is the last message of a worker."""

    how: str


class Lost(msgspec.Struct, tag="lost", forbid_unknown_fields=True):
    """This is the last message of a worker that was lost with its machine, which no episode has done."""

    how: str


Message = Refused | Ready | Played | Ended | Lost
"""Ready and Played are said of one lane, the others of a worker with all its lanes."""


@dataclass(frozen=True)
class News:
    worker: int
    lane: int
    message: Message


class Workers(Protocol):
    """Keeps worker processes, by number, wherever they run."""

    @property
    def count(self) -> int:
        """Return how many there can be at a time: their numbers are 0 to ``count`` - 1."""

    def start(self, number: int, jobs: Sequence[Job]) -> None:
        """Start one with a lane for each job, as soon as there is room for it."""

    def tell(self, number: int, lane: int, order: Order) -> None:
        """Order an episode; an order to a worker that has died is lost, and :meth:`news` says so."""

    def news(self, seconds: float) -> list[News]:
        """Return what was said until now; wait for some at most ``seconds``.

        Raises NotReady where no worker can be started.
        """

    def end(self, number: int) -> None:
        """Kill it, with the simulators that it started; no news of it will follow."""

    def close(self) -> None:
        """End all."""


def decided(settings: RunSettings) -> RunSettings:
    """Return ``settings`` with GPUs and the number of workers decided, where those are this machine's to decide.

    Raises UnknownName, BadInput, NotReady.
    """
    cluster = settings.cluster
    if isinstance(cluster, RaySettings):
        if importlib.util.find_spec("ray") is None:
            raise NotReady("cluster=ray needs pip install 'lingbot_eval[ray]'; cluster=local needs nothing")
        return settings
    numbered = [device for device in settings.agent.devices if device.startswith("cuda:")]
    gpus = None if cluster.gpus is None else tuple(map(str, cluster.gpus))
    if gpus is not None:
        if numbered:
            raise BadInput(
                f"--gpus shows each worker a single GPU, and {numbered[0]} chooses among several: leave out --gpus, or "
                "give the device without a number"
            )
        require(gpus)
    elif not numbered:  # each worker sees them all otherwise
        gpus = visible() or None
    workers = settings.workers or max(1, len(gpus or ()))
    return replace(settings, cluster=replace(cluster, gpus=gpus), workers=workers)


class LocalWorkers:
    """Keeps workers on this machine, one per GPU in turn where GPUs are chosen."""

    def __init__(self, settings: RunSettings, chosen: LocalSettings) -> None:
        assert settings.workers is not None  # noqa: S101  (decided() has seen to it)
        self.count = settings.workers
        self._gpus = chosen.gpus
        self._processes: dict[int, WorkerProcess] = {}

    def start(self, number: int, jobs: Sequence[Job]) -> None:
        self._processes[number] = WorkerProcess(jobs, self._environment(number))

    def _environment(self, number: int) -> dict[str, str]:
        if self._gpus is None:
            return {}
        gpu = str(self._gpus[number % len(self._gpus)]) if self._gpus else ""
        return {"CUDA_VISIBLE_DEVICES": gpu, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # the order in which nvidia-smi counts

    def tell(self, number: int, lane: int, order: Order) -> None:
        self._processes[number].tell(lane, order)

    def news(self, seconds: float) -> list[News]:
        everybody = [connection for process in self._processes.values() for connection in process.connections]
        wait([connection.fileno() for connection in everybody], timeout=seconds)
        heard = [
            News(number, lane, message)
            for number, process in self._processes.items()
            for lane, message in process.heard()
        ]
        for news in heard:
            if isinstance(news.message, Ended):
                del self._processes[news.worker]
        return heard

    def end(self, number: int) -> None:
        self._processes.pop(number).end(patience=0.0)

    def close(self) -> None:
        for process in self._processes.values():
            process.leave()  # all of them first: each then ends its simulators while we wait for the others
        end = time.monotonic() + PATIENCE
        for process in self._processes.values():
            process.end(patience=max(0.0, end - time.monotonic()))
        self._processes.clear()


class WorkerProcess:
    """Holds a worker on this machine, and our ends of its lanes. It dies with the *thread* that started it (Linux)."""

    def __init__(self, jobs: Sequence[Job], environment: Mapping[str, str]) -> None:
        """Start the worker; ``environment`` has variables that it gets in addition.

        Raises NotReady where its log cannot be written.
        """
        self._kin, self._log = Kin(), Log(Path(jobs[0].log))
        self._deaf = ""
        try:
            output = self._log.open()
        except OSError as error:
            raise NotReady(f"cannot write to {self._log.path}: {error.strerror}") from None
        pairs = [socket.socketpair() for _ in jobs]
        theirs = [pair[1] for pair in pairs]
        for ours, _ in pairs:  # a job is sent before anybody reads, and macOS has room for 8 kB unless it is asked
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, JOB_BYTES)
        self.connections = [Connection(ours) for ours, _ in pairs]
        self._loading, self._started = True, time.monotonic()
        self._load_seconds = jobs[0].settings.limits.load_seconds + GRACE_SECONDS
        command = [sys.executable, "-m", "lingbot_eval.runs.worker", "--parent", str(os.getpid())]
        command += ["--sockets", ",".join(str(end.fileno()) for end in theirs)]
        with output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[end.fileno() for end in theirs],
                start_new_session=True,  # so that Ctrl-C reaches us alone
                env={
                    **os.environ,
                    "TMPDIR": str(Path(jobs[0].tmp).resolve()),
                    **environment,
                    **self._kin.environment(),
                },
            )
        for lane, (end, job) in enumerate(zip(theirs, jobs, strict=True)):
            end.close()
            self.tell(lane, job)

    def tell(self, lane: int, message: Job | Order) -> None:
        with contextlib.suppress(Closed):  # it died idle; heard() says so
            try:
                self.connections[lane].send(message, PATIENCE)
            except TimeoutError:
                self._deaf = f"took no message within {PATIENCE:g} s"

    def heard(self) -> list[tuple[int, Message]]:
        """Return (lane, message) of all that was said until now. A worker that has ended, is not ready in time, or says
        what no worker says, is ended, and its last message says so."""
        said, how = self._read()
        self._loading = self._loading and not any(isinstance(message, Ready) for _, message in said)
        if how == CLOSED:
            how = how_it_ended(self._process, PATIENCE)
            said += self._read()[0]  # what its other lanes said before
        elif not how:
            how = self._excess()
        if not how:
            return said
        self.end(patience=0.0)
        return [*said, (0, Ended(how))]

    def _read(self) -> tuple[list[tuple[int, Message]], str]:
        """Return a message of each lane that has one, and why no more can be heard, empty where it can. A lane says one
        thing and waits."""
        said, why = list[tuple[int, Message]](), ""
        readable = wait([connection.fileno() for connection in self.connections], timeout=0.0)
        for lane, connection in enumerate(self.connections):
            if connection.fileno() not in readable:
                continue
            try:
                said.append((lane, decoded(connection.receive(0.0), Refused | Ready | Played)))
            except TimeoutError:  # half a message; the rest comes
                pass
            except Closed:
                why = why or CLOSED
            except Garbled as error:
                why = f"said what no worker says: {error}"
        return said, why

    def _excess(self) -> str:
        """Say why the worker must be ended; empty where it need not."""
        if self._loading and time.monotonic() - self._started > self._load_seconds:
            return "outlasted the time limit"
        return self._deaf or self._log.excess()

    def leave(self) -> None:
        """Tell it to end."""
        for connection in self.connections:
            connection.close()

    def end(self, patience: float) -> None:
        """Kill it, with all that it started, if it has not ended itself after ``patience`` seconds."""
        self.leave()
        self._kin.end(self._process, patience)
