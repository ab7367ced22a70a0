"""Which episode is played next. A lane that asks again gets an episode of the task it has at hand while there is one,
because changing the task costs a simulator start; else one of the task that would keep it busy for longest, so that
the short ones are left for the end, when lanes run out of work. An ERROR is tried once more, by whoever is free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from lingbot_eval.suites.durations import expected_seconds
from lingbot_eval.suites.plan import Task, task_of
from lingbot_eval.suites.store import Records
from lingbot_eval.types import Episode, EpisodeRecord, Outcome

TRIES = 2
"""Per run: an ERROR is retried once, and again by the next run of the same command."""

SPARED = 2
"""Further tries of an episode whose worker died while it played others too: nobody knows whose fault that was."""


class Queue:
    """``limits``: by task, the most commands of an episode. ``records``: those of before."""

    def __init__(self, episodes: Sequence[Episode], limits: Mapping[Task, int], records: Records) -> None:
        self._waiting, self._put_off = list(episodes), list[Episode]()
        self._limits = limits
        self._expected = expected_seconds(limits, records.all)
        self._before = Counter(record.episode.id for record in records.all)
        self._failures: Counter[str] = Counter()
        self._suspects: set[str] = set()
        """Ids of episodes whose worker died while it played others too."""
        self._playing: Counter[Task] = Counter()

    @property
    def waiting(self) -> int:
        """Episodes that can be handed out."""
        return len(self._waiting)

    @property
    def left(self) -> int:
        """With those that other sessions play."""
        return len(self._waiting) + len(self._put_off)

    def next_for(self, last: Episode | None, beside: Sequence[Episode]) -> Episode | None:
        """An episode of the task that was played last, else of the task with the most work for one more lane.

        ``beside``: what the lane's worker plays on its other lanes. A suspect comes after all others, and is never
        played beside another: so an episode that kills its worker uses up no more than one try of any other.
        """
        candidates = [episode for episode in self._waiting if episode.id not in self._suspects]
        if not candidates and not any(episode.id in self._suspects for episode in beside):
            candidates = self._waiting
        if not candidates:
            return None
        tasks = Counter(map(task_of, candidates))
        task = task_of(last) if last else None
        if task not in tasks:
            task = max(tasks, key=lambda task: tasks[task] * self._expected[task] / (1 + self._playing[task]))
        episode = next(episode for episode in candidates if task_of(episode) == task)
        self._waiting.remove(episode)
        self._playing[task_of(episode)] += 1
        return episode

    def put_off(self, episode: Episode) -> None:
        """What was handed out is another session's, or done."""
        self._playing[task_of(episode)] -= 1
        self._put_off.append(episode)

    def recall(self) -> None:
        """Try again what was put off."""
        self._waiting += self._put_off
        self._put_off = []

    def finished(self, record: EpisodeRecord, alone: bool) -> bool:
        """Whether what was played is queued once more; ``alone``: no other episode may have been the cause."""
        episode = record.episode
        self._playing[task_of(episode)] -= 1
        self._suspects.discard(episode.id)
        if record.outcome is not Outcome.ERROR:
            return False
        self._failures[episode.id] += 1
        if self._failures[episode.id] >= (TRIES if alone else TRIES + SPARED):
            return False
        if not alone:
            self._suspects.add(episode.id)
        self._waiting.insert(0, episode)
        return True

    def see(self, records: Records) -> list[EpisodeRecord]:
        """Learn how long episodes take, and drop those that other sessions have finished or given up: their final
        records."""
        self._expected = expected_seconds(self._limits, records.all)
        final, tries = records.final(), Counter(record.episode.id for record in records.all)
        settled = {
            episode.id
            for episode in self._waiting + self._put_off
            if (record := final.get(episode.id))
            and (record.outcome is not Outcome.ERROR or tries[episode.id] - self._before[episode.id] >= TRIES + SPARED)
        }
        self._waiting = [episode for episode in self._waiting if episode.id not in settled]
        self._put_off = [episode for episode in self._put_off if episode.id not in settled]
        return [final[id] for id in settled]
