"""Every environment must keep this contract; a test of it calls ``check_env``."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from lingbot_eval.envs.spaces import disagreement
from lingbot_eval.errors import BadAction
from lingbot_eval.types import Action, EnvSpec, Info, Observation


def check_env(env: gym.Env[Observation, Action]) -> None:
    """Raise AssertionError unless ``env`` keeps this package's promises on top of Gymnasium's.

    They are: its specification, its spaces and what it shows agree; ``reset(seed)`` repeats; commands are counted, and
    so are those outside the bounds; an action of another shape or type is refused; success and the command limit
    exclude each other; nothing privileged is in ``info``.
    """
    words = disagreement(env)
    assert not words, words
    first, info = env.reset(seed=3)
    again, _ = env.reset(seed=3)
    np.testing.assert_array_equal(first["state"], again["state"], "reset(seed) must repeat")
    for camera, picture in first["images"].items():
        np.testing.assert_array_equal(picture, again["images"][camera], f"reset(seed) must repeat picture {camera}")
    _check_look(first, env)
    assert info["commands"] == 0, "warm-up commands are not counted"
    action: Action = env.action_space.sample()
    observation, _, terminated, truncated, info = env.step(action)
    _check_look(observation, env)
    assert not (terminated and truncated), "terminated (success) and truncated (command limit) are exclusive"
    assert Info.__required_keys__ <= set(info), f"info lacks {Info.__required_keys__ - set(info)}"
    assert terminated or truncated or info["commands"] == len(action), "info must count every executed command"
    assert not any("privileged" in key for key in info), "nothing privileged belongs into info"
    others: list[Any] = [action[:, :0], action.astype(np.float64), action.tolist()]
    for bad in others:
        try:
            env.step(bad)
        except BadAction:
            continue
        raise AssertionError(f"an action of another shape or type must be refused, this was run: {bad!r}")
    outside = np.full_like(action, 7.0)
    if not (terminated or truncated):
        *_, info = env.step(outside)
        assert info["out_of_bounds"] > 0, "commands outside the action space are counted"


def _check_look(observation: Observation, env: gym.Env[Observation, Action]) -> None:
    spec: EnvSpec = env.get_wrapper_attr("env_spec")
    pictures = observation["images"]
    assert list(pictures) == list(spec.cameras), f"pictures {list(pictures)}, and env_spec says {list(spec.cameras)}"
    for camera, size in spec.cameras.items():
        shape = pictures[camera].shape
        assert shape == (*size, 3), f"a picture of {camera} is {shape}, and env_spec says {size}"
    shape = observation["state"].shape
    assert shape == (len(spec.state),), f"the state is {shape}, and env_spec names {len(spec.state)} numbers"
    assert observation in env.observation_space, "an observation is outside observation_space"
