"""Play a plan on this machine: hand out episodes (``queue.py``) to worker processes (``pool.py``), and be resumable
after our death."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lingbot_eval.settings import RunSettings
from lingbot_eval.suites.pool import Pool
from lingbot_eval.suites.queue import Queue
from lingbot_eval.suites.store import RunDirectory
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Provenance


@dataclass(frozen=True)
class Event:
    """For whoever shows progress: ``record`` is None when the episode starts."""

    lane: int
    """Counted over all workers."""
    episode: Episode
    record: EpisodeRecord | None
    will_retry: bool = False


def play(
    folder: RunDirectory,
    episodes: Sequence[Episode],
    settings: RunSettings,
    provenance: Provenance,
    tell: Callable[[Event], None],
) -> None:
    """Play ``episodes`` with ``settings.workers`` processes of ``agent.sessions`` lanes each; returns when all have a
    record of this run.

    Raises LingbotEvalError when no worker can start.
    """
    pool = Pool(folder, settings, provenance)
    queue = Queue(episodes, folder.records().attempts())
    try:
        while queue.waiting or pool.busy:
            pool.staff(queue.waiting)
            for lane in pool.idle:
                if following := queue.next_for(lane.last):
                    lane.play(following)
                    tell(Event(lane.number, following.episode, None))
            for number, order, record, alone in pool.wait():
                again = record.outcome is Outcome.ERROR and queue.again(order, alone)
                tell(Event(number, order.episode, record, again))
    finally:
        pool.close()
