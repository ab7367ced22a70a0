"""An environment's spaces follow from its specification; actions and observations are checked against them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from lingbot_eval.errors import BadAction, ImpossibleAnswer
from lingbot_eval.types import Action, Actions, EnvSpec, Observation

LARGEST_PICTURE = 8192
"""Pixels along an edge that no camera here exceeds."""


def action_space(spec: EnvSpec) -> gym.spaces.Box[np.float32]:
    """Return the space of actions: float32 (K, D), each of the K commands between ``spec.low`` and ``spec.high``."""
    low, high = (np.tile(as_float32(row), (spec.commands_per_action, 1)) for row in (spec.low, spec.high))
    return gym.spaces.Box(low, high, dtype=np.float32)


def look_space(spec: EnvSpec) -> gym.Space[Observation]:
    """Return the space of observations: each camera's picture, uint8 (H, W, 3), and the state, float32 (S,)."""
    boxes: dict[str, gym.Space[Any]] = {
        name: gym.spaces.Box(0, 255, (*size, 3), np.uint8) for name, size in spec.cameras.items()
    }
    box = gym.spaces.Box(-np.inf, np.inf, (len(spec.state),), np.float32)
    space = gym.spaces.Dict(images=gym.spaces.Dict(boxes), state=box)
    return cast("gym.Space[Observation]", space)  # Gymnasium cannot say "a dict with these keys"


def misfit(spec: EnvSpec) -> str:
    """Say in words what of ``spec`` does not fit the rest of it; empty where everything does."""
    width, low, high, idle = len(spec.columns), as_float32(spec.low), as_float32(spec.high), as_float32(spec.idle)
    for what, row in (("command", spec.columns), ("state", spec.state)):
        names = [column.name for column in row]
        if len({*names}) < len(names) or "" in names:
            return f"{what} columns {names}: each needs a name of its own"
    if not width or len(low) != width or len(high) != width or not np.isfinite([low, high]).all() or (low > high).any():
        return f"an action space of {width} columns from {list(spec.low)} to {list(spec.high)}"
    if len(spec.channels) not in (0, width):
        return f"{len(spec.channels)} channels for {width} command columns"
    if len(idle) not in (0, width) or (len(idle) and not ((low <= idle) & (idle <= high)).all()):
        return f"an idle command {list(spec.idle)} outside an action space from {list(spec.low)} to {list(spec.high)}"
    if not len(idle) and len(spec.state) != width:
        return f"no idle command, and a state of {len(spec.state)} numbers is no command of {width}"
    if spec.commands_per_action < 1 or not 0 < spec.commands_per_second < np.inf:
        return f"{spec.commands_per_action} commands per action, {spec.commands_per_second} per second"
    if wrong := {name: size for name, size in spec.cameras.items() if not _drawable(size)}:
        return f"pictures of {wrong}; rows and columns are 1 to {LARGEST_PICTURE}"
    return ""


def disagreement(env: gym.Env[Any, Any]) -> str:
    """Say in words where the spaces of ``env`` are not those of its own specification, or where that does not fit
    itself; empty where everything agrees."""
    spec: EnvSpec = env.get_wrapper_attr("env_spec")
    if words := misfit(spec):
        return words
    for what, theirs, ours in (
        ("action_space", env.action_space, action_space(spec)),
        ("observation_space", env.observation_space, look_space(spec)),
    ):
        if theirs != ours:
            return f"{what} is {theirs}, and env_spec says {ours}"
    return ""


def _drawable(size: tuple[int, int]) -> bool:
    return all(1 <= edge <= LARGEST_PICTURE for edge in size)


def as_float32(values: Sequence[Any]) -> npt.NDArray[np.float32]:
    """Return ``values`` as float32; what it has no room for becomes infinity. Raises ValueError for rows of different
    lengths."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32)


def check_action(action: Action, space: gym.spaces.Box) -> npt.NDArray[np.bool_]:
    """Return (K,) which commands of ``action`` have a value outside ``space``; they are executed all the same.

    Raises BadAction for another shape or type, or a value that is not a number; nothing is trimmed, padded or cast.
    """
    if not isinstance(action, np.ndarray) or action.dtype != np.float32 or action.shape != space.shape:
        found = f"{action.dtype} {action.shape}" if isinstance(action, np.ndarray) else type(action).__name__
        raise BadAction(f"an action must be float32 of shape {space.shape} (commands, columns); got {found}")
    if not np.isfinite(action).all():
        raise BadAction(f"an action holds NaN or infinity: {action.tolist()}")
    outside: npt.NDArray[np.bool_] = ((action < space.low) | (action > space.high)).any(axis=1)
    return outside


def check_actions(actions: Actions) -> None:
    """Raise BadAction where an agent gave no action, or a value that is not a number, and say which one.

    Whether the actions fit the environment, :func:`check_action` says of the first, before any is executed.
    """
    if len(actions) == 0:
        raise BadAction(
            "the agent returned no actions (N = 0); it must return at least one, or the episode would never end"
        )
    if isinstance(actions, np.ndarray) and actions.dtype.kind == "f" and not np.isfinite(actions).all():
        wrong = np.argwhere(~np.isfinite(actions))
        raise BadAction(
            f"the agent returned NaN or infinity: {actions[tuple(wrong[0])]} at {wrong[0].tolist()} (action, command, "
            f"channel, from 0) of {actions.shape}, and {len(wrong) - 1} more"
        )


def check_state(observation: Observation) -> None:
    """Raise ImpossibleAnswer where the state of ``observation`` holds something that is not a number."""
    if not np.isfinite(observation["state"]).all():
        raise ImpossibleAnswer(f"the simulator sent a state that is not finite: {observation['state'].tolist()}")
