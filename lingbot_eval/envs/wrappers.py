"""What goes around an environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gymnasium as gym
import imageio
import numpy as np

from lingbot_eval.names import UNFINISHED, safe_name, stem
from lingbot_eval.types import Action, Episode, Image, Observation, Outcome

LOOK_EVERY = 4
"""Commands between two pictures of an agent that looks at none: 5 frames per second at LIBERO's 20 Hz."""


class RecordVideo(gym.Wrapper[Observation, Action, Observation, Action]):
    """Write what the agent sees, cameras side by side in order, to an mp4 of real-time speed.

    An environment whose observations hold no pictures is asked for ``render()`` every LOOK_EVERY commands and at the
    end. The file grows as the episode goes; :meth:`save` gives it its name.
    """

    def __init__(self, env: gym.Env[Observation, Action], folder: Path) -> None:
        super().__init__(env)
        self._folder = folder
        self._writer: Any = None
        spec = env.unwrapped.env_spec  # type: ignore[attr-defined]
        self._looks = bool(spec.cameras)
        self._rate = spec.commands_per_second / (spec.commands_per_action if self._looks else LOOK_EVERY)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._drop()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._part = self._folder / f"{UNFINISHED}{os.getpid()}-{id(self):x}.mp4"
        self._writer = imageio.get_writer(self._part, fps=self._rate, macro_block_size=2, quality=7)
        self._seen = 0
        self._write(observation)
        return observation, info

    def step(self, action: Action) -> tuple[Observation, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self._looks or terminated or truncated or info["commands"] - self._seen >= LOOK_EVERY:
            self._seen = info["commands"]
            self._write(observation)
        return observation, reward, terminated, truncated, info

    def save(self, episode: Episode, outcome: Outcome) -> None:
        """Finish the file as ``<folder>/<task>/<stem>-<outcome>.mp4``."""
        if self._writer is None:  # nothing was seen: the reset failed
            return
        self._writer.close()
        self._writer = None
        target = self._folder / safe_name(episode.task) / f"{stem(episode)}-{outcome.value}.mp4"
        target.parent.mkdir(exist_ok=True)
        self._part.replace(target)

    def close(self) -> None:
        self._drop()
        self.env.close()

    def _write(self, observation: Observation) -> None:
        views = list(observation["images"].values()) if self._looks else [self.env.render()]
        self._writer.append_data(beside(views))

    def _drop(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._part.unlink(missing_ok=True)


def beside(views: list[Any]) -> Image:
    """(H, sum of W, 3): the views in a row, enlarged by a whole number to at least 256 rows, shorter ones padded."""
    factor = max(1, -(-256 // max(len(view) for view in views)))
    height = factor * max(len(view) for view in views)
    enlarged = [view.repeat(factor, 0).repeat(factor, 1) for view in views]
    return np.concatenate([np.pad(view, ((0, height - len(view)), (0, 0), (0, 0))) for view in enlarged], axis=1)


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

        Nothing for an ERROR.
        """
        if outcome is Outcome.ERROR or not self._actions:
            return
        target = self._folder / safe_name(episode.task) / f"{stem(episode)}.npz"
        target.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(target, actions=np.stack(self._actions), episode=np.array(episode.id))
