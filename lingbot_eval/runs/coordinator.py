"""Play a plan: hand out episodes (``queue.py``) that no other coordinator plays (``claims.py``) to worker
processes (``pool.py``), and be resumable after our death."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from lingbot_eval.errors import NotReady
from lingbot_eval.runs.claims import Claims
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.durations import command_limits
from lingbot_eval.runs.lanes import EpisodeUpdate
from lingbot_eval.runs.plan import by_task
from lingbot_eval.runs.pool import Pool
from lingbot_eval.runs.presence import Presence, Watch, sweep
from lingbot_eval.runs.queue import Queue
from lingbot_eval.runs.worker import Order
from lingbot_eval.settings import RunSettings, to_dict
from lingbot_eval.suites import suite_named
from lingbot_eval.types import Episode, Provenance

RECALL_SECONDS = 5.0
"""Episodes that other coordinators play are tried again so often: their records may have come."""


def play(
    folder: RunDirectory,
    episodes: Sequence[Episode],
    settings: RunSettings,
    provenance: Provenance,
    tell: Callable[[EpisodeUpdate], None],
    command: str = "",
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Play ``episodes`` with ``settings.workers`` processes of ``agent.sessions`` lanes each; return when all have a
    record of this run, whoever played them, or those at hand have one and it is ``stopping``.

    ``command`` is the line that was typed. Raises LingbotEvalError when no worker can start, NotReady when nothing can
    be written any more.
    """
    watch = Watch(folder)
    try:
        with Presence(folder, provenance, to_dict(settings), command, len(episodes)) as presence:
            sweep(folder, watch)
            claims = Claims(folder, presence.id, watch, episodes)
            pool = Pool(folder, settings, provenance, presence)

            def told(update: EpisodeUpdate) -> None:
                presence.lanes.tell(update)
                tell(update)

            try:
                _hand_out(episodes, settings, claims, pool, presence, told, stopping)
            finally:
                pool.close()
                claims.release_all()
            sweep(folder, watch)
    except OSError as error:
        raise NotReady(
            f"cannot go on in {folder.path}: {error}. What is recorded is kept: the same command goes on from there"
        ) from None


def _hand_out(
    episodes: Sequence[Episode],
    settings: RunSettings,
    claims: Claims,
    pool: Pool,
    presence: Presence,
    tell: Callable[[EpisodeUpdate], None],
    stopping: Callable[[], bool],
) -> None:
    limits = command_limits(suite_named(settings.suite.name), settings.protocol, by_task(episodes))
    queue = Queue(episodes, limits, claims.records)
    recalled = time.monotonic()
    while pool.busy or (queue.left and not stopping()):
        presence.require_folder()
        if not stopping():
            pool.staff(queue.waiting)
            if time.monotonic() - recalled >= RECALL_SECONDS:
                queue.recall()
                recalled = time.monotonic()
            if pool.idle and queue.waiting:
                claims.read()
                for record in queue.see():
                    tell(EpisodeUpdate(None, record.episode, record))
            for lane in pool.idle:
                while episode := queue.next_for(lane.last, pool.beside(lane)):
                    if attempt := claims.take(episode):
                        pool.play(lane, Order(episode, attempt))
                        tell(EpisodeUpdate(lane.number, episode, None))
                        break
                    queue.put_off(episode)
        for number, order, record, alone in pool.wait():
            claims.release(order.episode)
            tell(EpisodeUpdate(number, order.episode, record, queue.finished(record, alone)))
