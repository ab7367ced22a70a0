"""Workers on a Ray cluster: an actor wherever there is room, which runs an ordinary worker process on its node and
passes its messages on. The only module that imports ray.

What goes through Ray is what goes through a socket at home: settings, orders and records, as plain data. Records are
written by the worker itself, into the run directory that all nodes share.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import msgspec
import ray
from ray.exceptions import RayActorError, RayError

from lingbot_eval.agents import kind_of
from lingbot_eval.errors import BadInput, LingbotEvalError, NotReady
from lingbot_eval.plain import say
from lingbot_eval.revision import code_hash
from lingbot_eval.runs.worker import Job, Order, PlainJob, Refused, job_from
from lingbot_eval.runs.workers import PATIENCE, Ended, Lost, Message, News, WorkerProcess
from lingbot_eval.settings import RaySettings, RunSettings, as_struct, to_dict
from lingbot_eval.suites import suite_named
from lingbot_eval.suites.machine import inspect

SMALLEST_STORE = 80_000_000
"""Bytes of shared memory for Ray's objects; Ray refuses less than 75 MiB. Ours are messages."""

LISTENS_SECONDS = 1.0
"""An actor waits so long for its worker to say something; an order that comes meanwhile waits, too."""

Said = list[tuple[int, dict[str, Any]]]
"""(lane, message) in the order in which they came."""


class RayWorkers:
    """Keeps worker processes on a Ray cluster. Raises NotReady where there is no such cluster, or none of its nodes
    could hold a worker."""

    def __init__(self, settings: RunSettings, chosen: RaySettings) -> None:
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(chosen.address)
        self._wanted = settings.workers
        self._actors: dict[int, _Actor] = {}
        alone = self._ours and not chosen.address and "RAY_ADDRESS" not in os.environ
        self._patience = chosen.patience_seconds
        self._idle_since = time.monotonic()
        nodes = _nodes()
        gpus = chosen.gpus_per_worker
        if gpus is None:
            gpus = 1.0 if any(node.get("GPU") for node in nodes) else 0.0
        sessions = settings.agent.sessions
        self._needs = {"GPU": gpus, "CPU": chosen.cpus_per_worker + sessions * chosen.cpus_per_environment}
        if not self._rooms():
            if alone:  # nobody will join
                raise NotReady(self._no_room("on this machine"))
            say(f"run-suite: {self._no_room('so far')}; waiting {self._patience:g} s for one", file=sys.stderr)

    @property
    def count(self) -> int:
        """Return the number that is given, else as many as all nodes could hold if they were empty: they may join and
        leave."""
        return self._wanted or max(1, self._rooms())

    def _rooms(self) -> int:
        return sum(_rooms(node, self._needs) for node in _nodes())

    def start(self, number: int, jobs: Sequence[Job]) -> None:
        options = {"num_cpus": self._needs["CPU"], "num_gpus": self._needs["GPU"], "scheduling_strategy": "SPREAD"}
        handle = ray.remote(Relay).options(**options).remote()
        start = handle.start.remote([to_dict(job) for job in jobs], os.getcwd(), versions())
        self._actors[number] = _Actor(handle, start)

    def tell(self, number: int, lane: int, order: Order) -> None:
        self._actors[number].orders.append((lane, to_dict(order)))

    def news(self, seconds: float) -> list[News]:
        if not self._actors:
            time.sleep(seconds)
            return []
        for actor in self._actors.values():
            actor.go_on()
        calls = {actor.call: number for number, actor in self._actors.items()}
        ready, _ = ray.wait(list(calls), timeout=seconds)
        if ready:
            ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0)
        heard = [news for call in ready for news in self._hear(calls[call])]
        if any(actor.placed for actor in self._actors.values()):
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > self._patience:
            raise NotReady(self._no_room(f"after {self._patience:g} s (cluster.patience_seconds)"))
        return heard

    def _hear(self, number: int) -> list[News]:
        actor = self._actors[number]
        call, actor.call, actor.placed = actor.call, None, True
        try:
            heard = [News(number, lane, as_struct(message, Message)) for lane, message in ray.get(call)]
        except RayActorError as error:  # also where it is only out of reach: nobody knows what it has heard
            heard = [News(number, 0, Lost(f"was lost with its node: {_first_line(error)}"))]
        if any(isinstance(news.message, Ended | Lost) for news in heard):
            ray.kill(self._actors.pop(number).handle)  # what it held is free for the next
        return heard

    def end(self, number: int) -> None:
        self._end([self._actors.pop(number)])

    def close(self) -> None:
        self._end(list(self._actors.values()))
        self._actors.clear()
        if self._ours:
            ray.shutdown()

    def _end(self, actors: list[_Actor]) -> None:
        calls = [actor.handle.end.remote() for actor in actors if actor.placed]
        if calls:
            ray.wait(calls, num_returns=len(calls), timeout=LISTENS_SECONDS + 2 * PATIENCE)
        for actor in actors:
            ray.kill(actor.handle)

    def _no_room(self, when: str) -> str:
        nodes = "; ".join(_amounts(node) for node in _nodes())
        return (
            f"{when} no node of the Ray cluster has room for a worker, which takes {_amounts(self._needs)} "
            "(cluster.gpus_per_worker; cluster.cpus_per_worker + agent.sessions x cluster.cpus_per_environment). "
            f"Nodes, busy or not: {nodes or 'none'}"
        )


@dataclass
class _Actor:
    handle: Any
    call: Any
    """The call that is under way, if one is."""
    placed: bool = False
    orders: Said = field(default_factory=list)
    """These are not told yet."""

    def go_on(self) -> None:
        if self.call is None:
            self.call = self.handle.exchange.remote(self.orders)
            self.orders = []


class Relay:
    """This is what the actor runs on its node. It answers one call at a time, all of them on the thread that the worker
    dies with."""

    def __init__(self) -> None:
        self._worker: WorkerProcess | None = None

    def start(self, jobs: Sequence[dict[str, Any]], folder: str, same: dict[str, str]) -> Said:
        """Start the worker in ``folder``, where the coordinator's paths mean what they mean there."""
        try:
            if versions() != same:
                raise NotReady(f"this node has {versions()} and the coordinator has {same}: install the same on all")
            _enter(Path(folder), Path(jobs[0]["tmp"]))
            self._worker = WorkerProcess(adapted([job_from(as_struct(job, PlainJob)) for job in jobs]), {})
        except LingbotEvalError as error:
            return [(0, to_dict(Refused(f"Ray node {socket.gethostname()}: {error}")))]
        return []

    def exchange(self, orders: Said) -> Said:
        """Pass ``orders`` on; return what the worker has said."""
        worker = self._worker
        assert worker is not None  # noqa: S101  (one that was refused ends the run)
        for lane, order in orders:
            worker.tell(lane, as_struct(order, Order))
        wait([connection.fileno() for connection in worker.connections], timeout=LISTENS_SECONDS)
        return [(lane, to_dict(message)) for lane, message in worker.heard()]

    def end(self) -> None:
        if self._worker is not None:
            self._worker.end(PATIENCE)


def _enter(folder: Path, tmp: Path) -> None:
    """Work in ``folder``. Raises NotReady where this node does not see what the coordinator has made: ``tmp``."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise NotReady(f"cannot work in {folder}, as the coordinator does: {error.strerror}") from None
    if not tmp.is_dir():
        raise NotReady(f"there is no {tmp.resolve()} on it: the run directory must lie on a disk that all nodes share")


def adapted(jobs: Sequence[Job]) -> list[Job]:
    """Return ``jobs`` with the choices that are this node's own, and its versions for the records.

    Raises NotReady where its simulator is another: what it played would count for an experiment that it is not.
    """
    settings, provenance = jobs[0].settings, jobs[0].provenance
    suite, kind = suite_named(settings.suite.name), kind_of(settings.agent)
    machine = inspect(suite, settings.env, draws=settings.agent.looks or settings.films != "off")
    for name, here in machine.facts.items():
        if (wanted := provenance.versions.get(name)) != here:
            raise NotReady(f"{name} is {here} on this node, but {wanted} in the experiment")
    agent = kind.place(settings.agent, workers=1)
    settings = msgspec.structs.replace(settings, env=machine.simulator, agent=agent)
    versions = {**provenance.versions, **machine.notes, **kind.versions(agent, settings.limits)}
    provenance = replace(provenance, versions=versions)
    return [replace(job, settings=settings, provenance=provenance) for job in jobs]


def versions() -> dict[str, str]:
    """Return what must be the same on all nodes besides the simulator's facts; Ray compares Python's and its own."""
    return {**{name: metadata.version(name) for name in ("lingbot_eval", "msgspec")}, "code": code_hash()}


def _connect(address: str | None) -> None:
    """Connect to the cluster at ``address``, at $RAY_ADDRESS, or to one of our own that ends with this process.

    Raises BadInput, NotReady.
    """
    name = "cluster.address" if address else "$RAY_ADDRESS"
    address = address or os.environ.get("RAY_ADDRESS")
    if address and address.startswith("ray://"):
        raise BadInput(f"{name}={address}: start run-suite on one of its nodes, with cluster.address=auto")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address:
            if address != "auto":
                _knock(address)
            ray.init(address=address, **quiet)
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
        ray.init(address="local", include_dashboard=False, object_store_memory=SMALLEST_STORE, **quiet)
    except (RayError, OSError, ValueError, RuntimeError) as error:
        if not address:
            raise NotReady(f"a Ray of our own: {_first_line(error)}") from None
        asked = "RAY_AUTH_MODE" not in os.environ and not isinstance(error, ValueError)
        hint = "; if it asks for a token: RAY_AUTH_MODE=token" * asked
        raise NotReady(f"{name}={address}: {_first_line(error)}{hint}") from None


def _knock(address: str) -> None:
    """Raises OSError, ValueError where nothing listens at ``host:port``: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("an address is host:port, or auto")
    socket.create_connection((host.strip("[]"), int(port)), timeout=10.0).close()


def _nodes() -> list[dict[str, float]]:
    """Return the resources of each node that is there."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _rooms(node: dict[str, float], needs: dict[str, float]) -> int:
    """Count the workers that the empty node could hold."""
    return min((int(node.get(name, 0.0) / amount) for name, amount in needs.items() if amount), default=1)


def _amounts(resources: dict[str, float]) -> str:
    return f"{resources.get('GPU', 0.0):g} GPUs and {resources.get('CPU', 0.0):g} CPUs"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
