"""These wrappers go around an environment: they film it and keep its commands."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from lingbot_eval.files import placed, scratch
from lingbot_eval.names import actions_name
from lingbot_eval.types import Action, EnvSpec, Episode, Image, Imagined, Observation, Outcome
from lingbot_eval.videos import Film, beside, resized, titled

LOOK_EVERY = 4
"""Commands between two pictures of an agent that looks at none: 5 pictures per second at 20 Hz."""


class RecordVideo(gym.Wrapper[Observation, Action, Observation, Action]):
    """Write what the agent sees, cameras side by side in order, to an mp4 of real-time speed.

    An environment whose observations hold no pictures is asked for ``render()`` every LOOK_EVERY commands and at the
    end. The file grows as the episode goes; :meth:`save` gives it its name. ``every``: film every n-th episode of a
    task, by the reset option ``index``.
    """

    def __init__(self, env: gym.Env[Observation, Action], folder: Path, every: int = 1) -> None:
        super().__init__(env)
        spec: EnvSpec = env.get_wrapper_attr("env_spec")
        self._every, self._looks, self._cameras = every, bool(spec.cameras), tuple(spec.cameras)
        self._rate = spec.looks_per_second if self._looks else spec.commands_per_second / LOOK_EVERY
        self._film = Film(folder, self._rate)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self._drop()
        observation, info = self.env.reset(seed=seed, options=options)
        self._on = (options or {}).get("index", 0) % self._every == 0
        self._seen = 0
        if self._on:
            self._write(observation)
        return observation, info

    def step(self, action: Action) -> tuple[Observation, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        due = self._looks or terminated or truncated or info["commands"] - self._seen >= LOOK_EVERY
        if self._on and due:
            self._seen = info["commands"]
            self._write(observation)
        return observation, reward, terminated, truncated, info

    def save(self, episode: Episode, outcome: Outcome) -> None:
        """Finish the file as ``<folder>/<task>/<stem>-<outcome>.mp4``; do nothing where nothing was filmed."""
        self._film.save(episode, outcome)

    def close(self) -> None:
        self._drop()
        self.env.close()

    def _drop(self) -> None:
        self._on = False
        self._film.drop()

    def _write(self, observation: Observation) -> None:
        views: list[Any] = list(observation["images"].values()) if self._looks else [self.env.render()]
        self._film.add(beside(views))


class RecordImagined(RecordVideo):
    """Keep what the agent sees until :meth:`show` is given what it had imagined of it: two rows of one mp4.

    Pictures wait in a nameless temporary file: an episode's can be hundreds of megabytes.
    """

    def __init__(self, env: gym.Env[Observation, Action], folder: Path, every: int = 1) -> None:
        super().__init__(env, folder, every)
        self._pictures = tempfile.TemporaryFile()  # noqa: SIM115  (open as long as the wrapper)

    def show(self, looks: Iterable[Imagined]) -> None:
        """Write the episode so far: the row ``real`` is what was seen, the row ``imagined`` below it the same moments,
        both of the cameras that were imagined."""
        for number, (seen, imagined) in enumerate(zip(self._kept(), looks, strict=False)):
            real = {name: picture for name, picture in seen.items() if name in imagined.images}
            same = {name: resized(imagined.images[name], picture) for name, picture in real.items()}
            rows = titled("real", real, f"{number / self._rate:.2f} s"), titled("imagined", same, imagined.caption)
            self._film.add(np.concatenate(rows))

    def close(self) -> None:
        super().close()
        self._pictures.close()

    def _drop(self) -> None:
        super()._drop()
        self._pictures.seek(0)

    def _write(self, observation: Observation) -> None:
        for name in self._cameras:
            np.save(self._pictures, observation["images"][name], allow_pickle=False)

    def _kept(self) -> Iterator[dict[str, Image]]:
        end = self._pictures.tell()
        self._pictures.seek(0)
        while self._pictures.tell() < end:
            yield {name: np.load(self._pictures, allow_pickle=False) for name in self._cameras}


class RecordActions(gym.Wrapper[Observation, Action, Observation, Action]):
    """Keep the commands of an episode, to be played again by the replay agent."""

    def __init__(self, env: gym.Env[Observation, Action], folder: Path) -> None:
        super().__init__(env)
        self._folder, self._actions = folder, list[Action]()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self._actions = []
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Action) -> tuple[Observation, Any, bool, bool, dict[str, Any]]:
        self._actions.append(action.copy())
        return self.env.step(action)

    def save(self, episode: Episode, outcome: Outcome) -> None:
        """Write ``<folder>/<task>/<stem>.npz``: ``actions`` (actions, K, D) float32 and ``episode``, its id.

        Do nothing for an ERROR.
        """
        if outcome is Outcome.ERROR or not self._actions:
            return
        target = self._folder / actions_name(episode)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = scratch("actions.npz")
        np.savez_compressed(part, actions=np.stack(self._actions), episode=np.array(episode.id))
        placed(part, target)
