"""Play episodes as they are handed out: ``python -m lingbot_eval.runs.worker``, started by ``workers.WorkerProcess``.

A worker holds one agent's weights and has one or more lanes, each a thread that plays one episode at a time in a
simulator of its own. The parent sends an Order down a lane and gets the record back when that is on disk.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from lingbot_eval.agents import kind_of
from lingbot_eval.agents.kind import AgentFor
from lingbot_eval.envs.remote import RemoteEnv
from lingbot_eval.envs.wrappers import RecordActions, RecordImagined, RecordVideo
from lingbot_eval.episode import Env, run_episode
from lingbot_eval.errors import ChildError, ImpossibleAnswer, LingbotEvalError
from lingbot_eval.hardware import hardware
from lingbot_eval.plausible import impossible
from lingbot_eval.processes import Closed, Connection, decoded, die_with_parent, words_of
from lingbot_eval.runs.lanes import Lanes
from lingbot_eval.runs.records import RecordFile
from lingbot_eval.runs.settings import run_settings
from lingbot_eval.settings import EnvSettings, RunSettings
from lingbot_eval.timing import TimedAgent, TimedEnv, spent
from lingbot_eval.types import Agent, Episode, EpisodeRecord, Imagines, Outcome, Provenance

S_co = TypeVar("S_co", RunSettings, Mapping[str, Any], covariant=True)


@dataclass(frozen=True)
class JobOf(Generic[S_co]):
    """Tells a lane at its start what it works with."""

    folder: str
    """The run directory."""
    records: str
    """The file that this lane alone writes."""
    log: str
    """What its worker prints goes there."""
    simulator_log: str
    """What its simulators print goes there; it is the same file in a worker of one lane."""
    tmp: str
    """The worker's temporary files go there, and its simulators'."""
    settings: S_co
    provenance: Provenance


Job = JobOf[RunSettings]
PlainJob = JobOf[Mapping[str, Any]]
"""A job comes like this: its settings say themselves which types they have."""


def job_from(plain: PlainJob) -> Job:
    """Raises BadInput, UnknownName for settings that do not fit."""
    settings, who = run_settings(plain.settings), plain.provenance
    return JobOf(plain.folder, plain.records, plain.log, plain.simulator_log, plain.tmp, settings, who)


@dataclass(frozen=True)
class Order:
    episode: Episode
    attempt: int


class Refused(msgspec.Struct, tag="refused", forbid_unknown_fields=True):
    """A worker that cannot play its job says this."""

    why: str


class Ready(msgspec.Struct, tag="ready", forbid_unknown_fields=True):
    """A lane says this first."""


class Played(msgspec.Struct, tag="played", forbid_unknown_fields=True):
    """A lane says this of each order."""

    record: EpisodeRecord


class Lane:
    """Plays one episode at a time; the environment of the task at hand is kept while episodes of it follow."""

    def __init__(self, job: Job, agent_for: AgentFor) -> None:
        self._job, self._settings = job, job.settings
        self.name = Path(job.simulator_log).stem
        self._folder = Path(job.folder)
        self._agent_for: Callable[[Any], Agent] = agent_for
        self._privileged = kind_of(job.settings.agent).privileged
        self._file = RecordFile(Path(job.records))
        self._task = ("", "")
        self._env: Env | None = None
        self._agent: TimedAgent | None = None
        """It plays the episode at hand and is held here alone: what it occupies is free when the next is ordered."""

    def play(self, order: Order) -> EpisodeRecord:
        """Play once and write the record; whatever goes wrong is one too."""
        start = time.perf_counter()
        try:
            tmp = Path(tempfile.gettempdir())  # gone where we were taken for dead (sweep), or somebody tidied up
            tmp.parent.mkdir(exist_ok=True)  # RUN/tmp; but no RUN, which is not made anew where it has vanished
            tmp.mkdir(exist_ok=True)
            env, agent = self._at(order.episode)
            record = run_episode(env, agent, order.episode)
            record = _checked(replace(record, spent=spent(self._timed, agent)))
        except Exception as error:  # the package's one bulkhead: a crash is a result, not the end of the run
            words = str(error) if isinstance(error, ChildError) else traceback.format_exc()
            record = EpisodeRecord(order.episode, Outcome.ERROR, 0, time.perf_counter() - start, error=words_of(words))
        try:
            record = _checked(self._with_imagination(record))
        except Exception:  # a result is not lost because nobody can say how far imagination was off
            traceback.print_exc()
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        record = replace(record, attempt=order.attempt, finished=now, provenance=self._job.provenance)
        self._file.append(record)
        try:
            self._save(record)
        except Exception:  # nor because its video cannot be written
            traceback.print_exc()
        self._agent = None
        if record.outcome is Outcome.ERROR:
            self._leave()
        return record

    def close(self) -> None:
        self._leave()

    def _at(self, episode: Episode) -> tuple[Env, TimedAgent]:
        """Return the environment of the episode's task and an agent for this episode."""
        if self._env is None or self._task != (episode.suite, episode.task):
            self._leave()
            env_settings, limits = env_settings_for(self._settings, episode), self._settings.limits
            self._simulator = RemoteEnv(env_settings, limits, Path(self._job.simulator_log))
            self._timed = TimedEnv(self._simulator)
            self._env, self._task = self._wrapped(self._timed), (episode.suite, episode.task)
        given = self._simulator if self._privileged else self._simulator.env_spec
        self._agent = TimedAgent(self._agent_for(given))
        return self._env, self._agent

    def _wrapped(self, env: Env) -> Env:
        self._savers: list[RecordVideo | RecordActions] = []
        if self._settings.actions:
            env = RecordActions(env, self._folder / "actions")
            self._savers.append(env)
        if self._settings.films != "off":
            kind = RecordImagined if self._settings.films == "imagined" else RecordVideo
            env = kind(env, self._folder / "videos", self._settings.video_every)
            self._savers.append(env)
        return env

    def _with_imagination(self, record: EpisodeRecord) -> EpisodeRecord:
        """Add what the agent imagined, filmed where asked for and compared with what came."""
        if self._env is None or self._agent is None or not isinstance(imagines := self._agent.agent, Imagines):
            return record
        try:
            for film in self._savers:
                if isinstance(film, RecordImagined):
                    film.show(imagines.imagined())
        except Exception:  # nor is the error of the latents, because they cannot be shown; the log has the reason
            traceback.print_exc()
        return record if record.outcome is Outcome.ERROR else replace(record, imagination=imagines.imagination_error())

    def _save(self, record: EpisodeRecord) -> None:
        for saver in self._savers if self._env is not None else ():
            saver.save(record.episode, record.outcome)

    def _leave(self) -> None:
        if self._env is not None:
            self._env.close()
            self._env = None


def _checked(record: EpisodeRecord) -> EpisodeRecord:
    """Return ``record`` as it will be read; what cannot be read again would spoil the run directory.

    Raises msgspec's errors for values of other types, ImpossibleAnswer for other values that cannot be.
    """
    again = msgspec.json.decode(msgspec.json.encode(record), type=EpisodeRecord)
    if words := impossible(again):
        raise ImpossibleAnswer(f"the record of the episode cannot be: {words}")
    return again


def env_settings_for(settings: RunSettings, episode: Episode) -> EnvSettings:
    return EnvSettings(
        simulator=settings.env,
        protocol=settings.protocol,
        suite=episode.suite,
        task=episode.task,
        commands_per_action=settings.agent.commands_per_action,
        cameras=settings.agent.looks,
        render=settings.films != "off" and not settings.agent.looks,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sockets", required=True, help="one per lane, comma-separated")
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args()
    die_with_parent(given.parent)
    connections = [Connection(socket.socket(fileno=int(number))) for number in given.sockets.split(",")]
    times = [Lanes() for _ in connections]
    try:
        jobs = [job_from(decoded(connection.receive(None), PlainJob)) for connection in connections]
        settings = jobs[0].settings
        agent_for = kind_of(settings.agent).load(settings.agent, settings.limits, Path(jobs[0].log))
        lanes = [Lane(_here(job), agent_for) for job in jobs]
    except LingbotEvalError as error:
        connections[0].send(Refused(words_of(str(error))))
        sys.exit(2)
    threading.excepthook = _end_the_worker
    threads = [threading.Thread(target=serve, args=work) for work in zip(connections, lanes, times, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _here(job: Job) -> Job:
    """Return the job with this machine in its provenance."""
    agent = job.settings.agent
    versions = {**job.provenance.versions, **hardware(), **kind_of(agent).hardware(agent)}
    return replace(job, provenance=replace(job.provenance, versions=versions, host=socket.gethostname()))


def serve(connection: Connection, lane: Lane, times: Lanes) -> None:
    """Play what is ordered until the parent is gone; say then where the time went (since ``times`` was made)."""
    try:
        connection.send(Ready())
        while True:
            order: Order = decoded(connection.receive(None), Order)
            times.plays(0, order.episode)
            record = lane.play(order)
            times.played(0, record)
            connection.send(Played(record))
    except Closed:
        for state in times.states().values():
            print(f"{lane.name}: {state}", flush=True)
        lane.close()


def _end_the_worker(failure: threading.ExceptHookArgs) -> None:
    """End the worker: a lane that cannot go on (its disk is full) must not leave its parent waiting."""
    with contextlib.suppress(OSError):
        threading.__excepthook__(failure)
    os._exit(1)


if __name__ == "__main__":
    main()
