"""The queue chooses which episode is played next. A lane that asks again gets an episode of the task it has at hand
while there is one, because changing the task costs a simulator start; else one of the task that would keep it busy for
longest, so that the short ones are left for the end, when lanes run out of work. An ERROR is tried once more, by
whoever is free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from lingbot_eval.runs.durations import Durations
from lingbot_eval.runs.plan import by_task, task_of
from lingbot_eval.runs.records import Records
from lingbot_eval.suites.suite import Task
from lingbot_eval.types import Episode, EpisodeRecord, Outcome

TRIES = 2
"""An ERROR is retried once, and again by the next run of the same command."""

SPARED = 2
"""An episode whose worker died while it played others too has further tries: nobody knows whose fault that was."""

Shelf = dict[Task, dict[str, Episode]]
"""Episodes by task and id, in the order in which they are handed out."""


class Queue:
    """Hands out episodes one by one. To hand out one costs the same however many are planned or recorded."""

    def __init__(self, episodes: Sequence[Episode], limits: Mapping[Task, int], records: Records) -> None:
        """``limits`` has the most commands of an episode, by task; ``records`` are all so far, and those to come."""
        self._shelf: Shelf = {
            task: {episode.id: episode for episode in those} for task, those in by_task(episodes).items()
        }
        self._suspects: Shelf = {}
        """The worker of these died while it played others too."""
        self._suspected: set[str] = set()
        """These are their ids, also while they are played."""
        self._put_off: list[Episode] = []
        self._returned: list[Episode] = []
        """These were queued once more since :meth:`see` was last called."""
        self._records, self._seen = records, 0
        """So many of the records are known here."""
        self._durations = Durations(limits)
        self._before = Counter(record.episode.id for record in records.all)
        self._failures: Counter[str] = Counter()
        self._playing: Counter[Task] = Counter()
        self._learn()

    @property
    def waiting(self) -> int:
        """Count the episodes that can be handed out."""
        return sum(len(those) for shelf in (self._shelf, self._suspects) for those in shelf.values())

    @property
    def left(self) -> int:
        """Count the episodes that can be handed out, and those that other coordinators play."""
        return self.waiting + len(self._put_off)

    def next_for(self, last: Episode | None, beside: Sequence[Episode]) -> Episode | None:
        """Choose an episode of the task that was played last, else of the task with the most work for one more lane.

        The lane's worker plays ``beside`` on its other lanes. A suspect comes after all others, and is never played
        beside another: so an episode that kills its worker uses up no more than one try of any other.
        """
        shelf = self._shelf
        if not any(shelf.values()) and not any(episode.id in self._suspected for episode in beside):
            shelf = self._suspects
        if not any(shelf.values()):
            return None
        task = task_of(last) if last else None
        if task is None or not shelf.get(task):
            work = {task: len(those) * self._expected[task] for task, those in shelf.items() if those}
            task = max(work, key=lambda task: work[task] / (1 + self._playing[task]))
        episode = shelf[task].pop(next(iter(shelf[task])))
        self._playing[task] += 1
        return episode

    def put_off(self, episode: Episode) -> None:
        """Take back what was handed out: another coordinator plays it, or it is done."""
        self._playing[task_of(episode)] -= 1
        self._put_off.append(episode)

    def recall(self) -> None:
        """Try again what was put off."""
        for episode in self._put_off:
            self._shelf_of(episode).setdefault(task_of(episode), {})[episode.id] = episode
        self._put_off = []

    def finished(self, record: EpisodeRecord, alone: bool) -> bool:
        """Tell whether what was played is queued once more; ``alone`` says that no other episode may have been the
        cause."""
        episode, task = record.episode, task_of(record.episode)
        self._playing[task] -= 1
        self._suspected.discard(episode.id)
        if record.outcome is not Outcome.ERROR:
            return False
        self._failures[episode.id] += 1
        if self._failures[episode.id] >= (TRIES if alone else TRIES + SPARED):
            return False
        if not alone:
            self._suspected.add(episode.id)
        shelf = self._shelf_of(episode)
        shelf[task] = {episode.id: episode, **shelf.get(task, {})}
        self._returned.append(episode)
        return True

    def see(self) -> list[EpisodeRecord]:
        """Learn how long episodes take, drop those that other coordinators have finished or given up, and return their
        final records."""
        new = [episode for record in self._learn() if (episode := self._find(record.episode))]
        settled = {
            episode.id: final
            for episode in new + self._returned + self._put_off
            if (final := self._records.final_of(episode)) and self._is_settled(final)
        }
        for final in settled.values():
            self._shelf_of(final.episode).get(task_of(final.episode), {}).pop(final.episode.id, None)
        self._put_off = [episode for episode in self._put_off if episode.id not in settled]
        self._returned = []
        return list(settled.values())

    def _learn(self) -> list[EpisodeRecord]:
        new = self._records.all[self._seen :]
        self._seen += len(new)
        for record in new:
            self._durations.add(record)
        self._expected = self._durations.expected()
        return new

    def _is_settled(self, final: EpisodeRecord) -> bool:
        tries = len(self._records.of(final.episode)) - self._before[final.episode.id]
        return final.outcome is not Outcome.ERROR or tries >= TRIES + SPARED

    def _shelf_of(self, episode: Episode) -> Shelf:
        return self._suspects if episode.id in self._suspected else self._shelf

    def _find(self, episode: Episode) -> Episode | None:
        """Return the episode as it waits here; None where it does not."""
        return self._shelf_of(episode).get(task_of(episode), {}).get(episode.id)
