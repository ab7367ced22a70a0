"""Plays recorded episodes again, with a picture at every command."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from types import TracebackType
from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt

from lingbot_eval.envs.remote import RemoteEnv
from lingbot_eval.errors import PlaybackDiffers, RunMismatch
from lingbot_eval.runs.checks import compare
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.recorded import actions_of, settings_of
from lingbot_eval.settings import EnvSettings, RunSettings
from lingbot_eval.suites import suite_named
from lingbot_eval.suites.machine import inspect
from lingbot_eval.types import EpisodeRecord, Info, Observation


@dataclass(frozen=True)
class Moment:
    """Holds what was seen, what was then commanded, and what that led to."""

    observation: Observation
    command: npt.NDArray[np.float32]
    """(D,) as the environment got it, but absolute where the protocol's commands are relative (``Suite.absolute``)."""
    success: bool
    """The task has succeeded by this command."""
    done: bool
    """This is the episode's last command."""


class Playback:
    """Holds a simulator of a run on this machine. Close it, or use it in ``with``."""

    def __init__(self, folder: RunDirectory, settings: RunSettings) -> None:
        """``settings`` are :func:`settings_here`. The simulator dies with the thread that uses it."""
        self._folder, self._settings = folder, settings
        self._suite = suite_named(settings.suite.name)
        self._task = ("", "")
        self._env: RemoteEnv | None = None

    def __enter__(self) -> Playback:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._env is not None:
            self._env.close()
            self._env = None

    def moments(self, record: EpisodeRecord, held: int = 0) -> Iterator[Moment]:
        """Play the episode, and yield a moment for each of the record's commands, then so many that are ``held``: what
        was seen in the end, and the last command again.

        Raises BadInput where its commands were not kept, CorruptRecords where they are not its own, and after the last
        moment PlaybackDiffers where the episode did not end as recorded.
        """
        episode, commands = record.episode, commands_of(self._folder, record)
        env = self._at(record)
        scene = {name: getattr(episode, name) for name in ("task", "setting", "initial_state", "index")}
        observation, info = env.reset(seed=episode.seed, options=scene)
        first, over, success = cast("Info", info), False, False
        absolute = commands[0]
        for command in commands:
            if over:
                break
            after, _, success, truncated, info = env.step(command[None])
            over = success or truncated
            absolute = self._suite.absolute(self._settings.protocol, first, command)
            yield Moment(observation, absolute, success, over)
            observation = after
        ended = "going on" if not over else "success" if success else "failure"
        now = (ended, info["commands"], info["progress"])
        then = (record.outcome.value, record.commands, record.progress)
        if now != then:
            raise PlaybackDiffers(
                f"{episode.id}: recorded were {_words(then)}; played again it was {_words(now)}. Was it played on "
                "another kind of machine?"
            )
        for _ in range(held):
            yield Moment(observation, absolute, success, over)

    def _at(self, record: EpisodeRecord) -> RemoteEnv:
        task = (record.episode.suite, record.episode.task)
        if self._env is None or self._task != task:
            self.close()
            self._env, self._task = RemoteEnv(env_settings(self._settings, record), self._settings.limits), task
        return self._env


def settings_here(folder: RunDirectory) -> RunSettings:
    """Return the run's settings, with its simulator as it is on this machine.

    Raises BadInput and NotReady, and RunMismatch where a fact of this machine that can move a score is not the run's.
    """
    settings = settings_of(folder)
    scenes = sorted({(episode.task, episode.setting) for episode in folder.plan()})
    machine = inspect(suite_named(settings.suite.name), settings.env, True, scenes)
    if differences := compare(folder.run().experiment.facts, machine.facts):
        raise RunMismatch(f"{folder.path} cannot be played again on this machine: {'; '.join(differences)}")
    return msgspec.structs.replace(settings, env=machine.simulator)


def env_settings(settings: RunSettings, record: EpisodeRecord) -> EnvSettings:
    """Return the settings of the environment in which an episode is played command by command, with pictures."""
    return EnvSettings(
        simulator=settings.env,
        protocol=settings.protocol,
        suite=record.episode.suite,
        task=record.episode.task,
        commands_per_action=1,
        cameras=True,
        render=False,
    )


def in_parallel(
    records: Sequence[EpisodeRecord],
    workers: int,
    playback: Callable[[], Playback],
    do: Callable[[Playback, EpisodeRecord], None],
) -> None:
    """Have ``do`` called for each of the records, in their order, by so many threads, each with a simulator of its own.
    Threads will do: what takes time is done by the processes of simulators and of ffmpeg.

    After an error, or an interrupt, each thread ends with the episode that it is at; the error is raised then.
    """
    waiting, stopped = deque(records), threading.Event()

    def play() -> None:
        with playback() as mine:
            while not stopped.is_set() and (record := _next(waiting)) is not None:
                do(mine, record)

    with ThreadPoolExecutor(workers) as pool:
        try:
            for played in as_completed([pool.submit(play) for _ in range(workers)]):
                played.result()
        finally:
            stopped.set()


def _next(waiting: deque[EpisodeRecord]) -> EpisodeRecord | None:
    with contextlib.suppress(IndexError):
        return waiting.popleft()
    return None


def _words(ending: tuple[str, int, float]) -> str:
    return f"{ending[0]} after {ending[1]} commands, progress {ending[2]:g}"


def commands_of(folder: RunDirectory, record: EpisodeRecord) -> npt.NDArray[np.float32]:
    """Return the commands of a played episode that were executed, (commands, D). Raises as :func:`actions_of`."""
    actions = actions_of(folder, record)
    commands: npt.NDArray[np.float32] = actions.reshape(-1, actions.shape[-1])[: record.commands]
    return commands
