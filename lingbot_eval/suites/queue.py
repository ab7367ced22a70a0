"""Which episode is played next. A lane that asks again gets an episode of the task it has at hand while there is one,
because changing the task costs a simulator start; an ERROR is tried once more, by whoever is free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lingbot_eval.suites.worker import Order
from lingbot_eval.types import Episode

TRIES = 2
"""Per run: an ERROR is retried once, and again by the next run of the same command."""

SPARED = 2
"""Further tries of an episode whose worker died while it played others too: nobody knows whose fault that was."""


class Queue:
    def __init__(self, episodes: Sequence[Episode], attempts: dict[str, int]) -> None:
        self._orders = [Order(episode, attempts.get(episode.id, 0) + 1) for episode in episodes]
        self._tries: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        return len(self._orders)

    def next_for(self, last: Episode | None) -> Order | None:
        """An order of the task that was played last, else of the task with the most episodes left."""
        if not self._orders:
            return None
        same = (n for n, order in enumerate(self._orders) if last and _task(order.episode) == _task(last))
        found = next(same, None)
        order = self._orders.pop(self._fullest_task() if found is None else found)
        self._tries[order.episode.id] += 1
        return order

    def again(self, order: Order, alone: bool) -> bool:
        """Queue a failed order once more, unless it had its tries: next if it failed ``alone``, else last, so that it
        meets other company."""
        if self._tries[order.episode.id] >= (TRIES if alone else TRIES + SPARED):
            return False
        self._orders.insert(0 if alone else len(self._orders), Order(order.episode, order.attempt + 1))
        return True

    def _fullest_task(self) -> int:
        """Where the task with the most episodes left begins, so that workers start on different ones."""
        counts = Counter(_task(order.episode) for order in self._orders)
        task = max(counts, key=lambda task: counts[task])
        return next(n for n, order in enumerate(self._orders) if _task(order.episode) == task)


def _task(episode: Episode) -> tuple[str, str, str]:
    return (episode.suite, episode.task, episode.setting)
