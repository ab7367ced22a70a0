"""The pool holds the workers of a run (``workers.py``) and what each of their lanes plays. When a worker dies or
outlasts an episode's time limit, what its lanes were playing becomes an ERROR with that reason."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from lingbot_eval.errors import BadInput, LingbotEvalError
from lingbot_eval.plausible import impossible
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.presence import Presence
from lingbot_eval.runs.records import RecordFile
from lingbot_eval.runs.worker import Job, Order, Played, Ready, Refused
from lingbot_eval.runs.workers import GRACE_SECONDS, Ended, LocalWorkers, Lost, Workers
from lingbot_eval.settings import RaySettings, RunSettings
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Provenance

Finished = tuple[int, Order, EpisodeRecord, bool]
"""These are a lane, what it played, how that ended, and whether no other episode may have been the cause."""


class Pool:
    """Starts and ends workers, and hears what they have played. Raises NotReady where workers cannot be started."""

    def __init__(self, folder: RunDirectory, settings: RunSettings, provenance: Provenance, presence: Presence) -> None:
        self._folder, self._settings, self._provenance = folder, settings, provenance
        self._presence = presence
        self._processes = workers_of(settings)
        self._lanes: dict[int, list[_Lane]] = {}
        """The lanes of each worker, by its number."""
        self._started = 0
        self._stillborn = 0
        """So many workers in a row died before they could play."""
        self._obituaries: RecordFile | None = None

    @property
    def busy(self) -> bool:
        return any(lane.order for lanes in self._lanes.values() for lane in lanes)

    @property
    def idle(self) -> list[_Lane]:
        return [lane for lanes in self._lanes.values() for lane in lanes if lane.ready and not lane.order]

    def beside(self, lane: _Lane) -> list[Episode]:
        """Return what the lane's worker plays on other lanes."""
        lanes = self._lanes[lane.number // self._settings.agent.sessions]
        return [other.order.episode for other in lanes if other.order and other is not lane]

    def staff(self, waiting: int) -> None:
        """Have as many workers as there is work for."""
        sessions = self._settings.agent.sessions
        unoccupied = sum(not lane.order for lanes in self._lanes.values() for lane in lanes)
        free = (number for number in range(self._processes.count) if number not in self._lanes)
        while unoccupied < waiting and (number := next(free, None)) is not None:
            self._processes.start(number, [self._job(number, lane) for lane in range(sessions)])
            self._lanes[number] = [_Lane(number * sessions + lane) for lane in range(sessions)]
            unoccupied += sessions

    def _job(self, number: int, lane: int) -> Job:
        records = self._folder.path / "records" / f"{self._presence.id}-{self._started}.jsonl"
        self._started += 1
        log = self._log(number)
        own = log.with_name(f"{log.stem}-{lane}.log") if self._settings.agent.sessions > 1 else log
        return Job(
            folder=str(self._folder.path),
            records=str(records),
            log=str(log),
            simulator_log=str(own),
            tmp=str(self._presence.tmp),
            settings=self._settings,
            provenance=self._provenance,
        )

    def _log(self, number: int) -> Path:
        return self._folder.path / "logs" / f"{self._presence.id}-worker-{number}.log"

    def play(self, lane: _Lane, order: Order) -> None:
        lane.begin(order)
        self._processes.tell(*divmod(lane.number, self._settings.agent.sessions), order)

    def wait(self) -> list[Finished]:
        """Return what has been finished, by playing or by dying, after at most a second.

        Raises BadInput when a worker refuses its job, LingbotEvalError when workers die without having played.
        """
        finished: list[Finished] = []
        liars: dict[int, str] = {}
        for news in self._processes.news(1.0):
            lane, message = self._lanes[news.worker][news.lane], news.message
            match message:
                case Refused():
                    raise BadInput(message.why)
                case Ready():
                    lane.ready, self._stillborn = True, 0
                case Played(record):
                    if lane.order is None or (words := _not_of(record, lane.order)):
                        liars[news.worker] = words if lane.order else "said that it had played, unasked"
                        continue
                    finished.append((lane.number, lane.order, record, True))
                    lane.order = None
                case Ended():
                    finished += self._bury(news.worker, f"the worker {message.how}")
                case Lost():
                    finished += self._bury(news.worker, f"the worker {message.how}", own_doing=False)
        for number in liars.keys() & self._lanes.keys():
            self._processes.end(number)
            finished += self._bury(number, f"the worker {liars[number]}")
        for number, lanes in list(self._lanes.items()):
            if late := [lane for lane in lanes if lane.overdue(self._settings)]:
                self._processes.end(number)
                finished += self._bury(number, "the worker outlasted the time limit", late)
        return finished

    def _bury(self, number: int, reason: str, late: Sequence[_Lane] = (), own_doing: bool = True) -> list[Finished]:
        """Make an ERROR of all that the worker was playing: its lanes share one process."""
        lanes = self._lanes.pop(number)
        if not any(lane.ready for lane in lanes):
            self._stillborn += 1
            if self._stillborn > self._processes.count:
                raise LingbotEvalError(f"{reason} before its first episode; see {self._log(number)}")
        playing = [(lane, lane.order) for lane in lanes if lane.order]
        buried: list[Finished] = []
        for lane, order in playing:
            own = reason if lane in late or not late else "the worker was stopped: another of its episodes hung"
            record = self._obituary(order, own, lane.seconds)
            buried.append((lane.number, order, record, lane in late or (own_doing and len(playing) == 1)))
        return buried

    def close(self) -> None:
        self._processes.close()

    def _obituary(self, order: Order, reason: str, seconds: float) -> EpisodeRecord:
        if self._obituaries is None:
            self._obituaries = RecordFile(self._folder.path / "records" / f"{self._presence.id}-deaths.jsonl")
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


def workers_of(settings: RunSettings) -> Workers:
    """Return the workers where ``settings.cluster`` says.

    Raises NotReady.
    """
    if isinstance(settings.cluster, RaySettings):
        from lingbot_eval.runs.ray_workers import RayWorkers

        return RayWorkers(settings, settings.cluster)
    return LocalWorkers(settings, settings.cluster)


def _not_of(record: EpisodeRecord, order: Order) -> str:
    """Say why ``record`` cannot be what has become of ``order``; empty where it can."""
    if (record.episode, record.attempt) != (order.episode, order.attempt):
        return f"said that it had played {record.episode.id}, attempt {record.attempt}, which was not asked for"
    words = impossible(record)
    return words and f"said what cannot be: {words}"


class _Lane:
    """Holds what a worker's lane is doing; ``number`` counts over all workers."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ready = False
        self.order: Order | None = None
        self.last: Episode | None = None
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._since

    def begin(self, order: Order) -> None:
        self.order, self.last, self._since = order, order.episode, time.monotonic()

    def overdue(self, settings: RunSettings) -> bool:
        """Say whether the lane must be taken for hung."""
        limits = settings.limits
        allowed = limits.start_seconds + limits.reset_seconds + limits.episode_seconds  # of a simulator that starts
        if settings.agent.loads_in_its_lane:
            allowed += limits.load_seconds
        return self.order is not None and self.seconds >= allowed + GRACE_SECONDS
