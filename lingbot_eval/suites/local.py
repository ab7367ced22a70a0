"""Play a plan on this machine: hand out episodes (``queue.py``) to worker processes (``pool.py``), and be resumable
after our death."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lingbot_eval.settings import RunSettings, to_dict
from lingbot_eval.suites.pool import Pool
from lingbot_eval.suites.queue import Queue
from lingbot_eval.suites.sessions import Presence, Watch, sweep
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
    command: str = "",
) -> None:
    """Play ``episodes`` with ``settings.workers`` processes of ``agent.sessions`` lanes each; returns when all have a
    record of this run. ``command``: the line that was typed.

    Raises LingbotEvalError when no worker can start.
    """
    queue = Queue(episodes, folder.records().attempts())
    sweep(folder, Watch(folder))
    with Presence(folder, provenance, to_dict(settings), command, len(episodes)) as session:
        pool = Pool(folder, settings, provenance, session)
        try:
            while queue.waiting or pool.busy:
                pool.staff(queue.waiting)
                for lane in pool.idle:
                    if following := queue.next_for(lane.last):
                        lane.play(following)
                        session.plays(lane.number, following.episode)
                        tell(Event(lane.number, following.episode, None))
                for number, order, record, alone in pool.wait():
                    session.played(number, record)
                    again = record.outcome is Outcome.ERROR and queue.again(order, alone)
                    tell(Event(number, order.episode, record, again))
        finally:
            pool.close()
