"""The observation space that all environments here share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from lingbot_eval.errors import BadAction
from lingbot_eval.types import Action, Observation


def look_space(cameras: Mapping[str, tuple[int, int]], state: int) -> gym.Space[Observation]:
    """The space of observations with these cameras (name to height, width in pixels) and state length."""
    boxes: dict[str, gym.Space[Any]] = {
        name: gym.spaces.Box(0, 255, (*size, 3), np.uint8) for name, size in cameras.items()
    }
    box = gym.spaces.Box(-np.inf, np.inf, (state,), np.float32)
    space = gym.spaces.Dict(images=gym.spaces.Dict(boxes), state=box)
    return cast("gym.Space[Observation]", space)  # Gymnasium cannot say "a dict with these keys"


def check_action(action: Action, space: gym.spaces.Box) -> npt.NDArray[np.bool_]:
    """(K,): which commands of ``action`` have a value outside ``space``; they are executed all the same.

    Raises BadAction for another shape or type, or a value that is not a number; nothing is trimmed, padded or cast.
    """
    if not isinstance(action, np.ndarray) or action.dtype != np.float32 or action.shape != space.shape:
        found = f"{action.dtype} {action.shape}" if isinstance(action, np.ndarray) else type(action).__name__
        raise BadAction(f"an action here is float32 {space.shape} (commands, channels); got {found}")
    if not np.isfinite(action).all():
        raise BadAction(f"an action holds NaN or infinity: {action.tolist()}")
    outside: npt.NDArray[np.bool_] = ((action < space.low) | (action > space.high)).any(axis=1)
    return outside
