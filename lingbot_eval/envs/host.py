"""The simulator's process: ``python -m lingbot_eval.envs.host``, started by ``remote.RemoteEnv``."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from lingbot_eval import child
from lingbot_eval.envs import make_env
from lingbot_eval.errors import BadInput
from lingbot_eval.settings import EnvSettings, as_struct, to_dict
from lingbot_eval.shared_memory import Frame


class Host:
    """Answers the requests of one parent about one environment, each with the fields of an answer (``answers.py``)."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._expert: Any = None

    def make(self, settings: dict[str, Any]) -> dict[str, Any]:
        self._env: Any = make_env(as_struct(settings, EnvSettings))
        observations: Any = self._env.observation_space
        cameras = {name: box.shape[:2] for name, box in observations["images"].items()}
        self._frame = Frame(self._memory, observations["state"].shape[0], cameras)
        box: Any = self._env.action_space
        return {
            "answer": "made",
            "cameras": cameras,
            "state": observations["state"].shape[0],
            "low": box.low.tolist(),
            "high": box.high.tolist(),
            "env_spec": to_dict(self._env.env_spec),
            "metadata": self._env.metadata,
        }

    def reset(self, seed: int | None, options: dict[str, Any]) -> dict[str, Any]:
        observation, info = self._env.reset(seed=seed, options=options)
        self._frame.write(observation)
        return {"answer": "looked", "info": info}

    def step(self, action: list[list[float]]) -> dict[str, Any]:
        observation, reward, terminated, truncated, info = self._env.step(np.asarray(action, np.float32))
        self._frame.write(observation)
        said = {"reward": reward, "terminated": terminated, "truncated": truncated, "info": info}
        return {"answer": "stepped", **said}

    def render(self) -> dict[str, Any]:
        picture = self._env.render()
        self._frame.write_picture(picture)
        return {"answer": "drawn", "shape": picture.shape}

    def expert(self, path: str) -> dict[str, Any]:
        """Load the privileged expert ``module:class``, of this package only."""
        module, _, name = path.partition(":")
        if not module.startswith("lingbot_eval."):
            raise BadInput(f"an expert is a class of this package, not {path!r}")
        self._expert = getattr(importlib.import_module(module), name)(self._env.domain)
        return {"answer": "done"}

    def expert_reset(self) -> dict[str, Any]:
        self._expert.reset()
        return {"answer": "done"}

    def expert_command(self) -> dict[str, Any]:
        return {"answer": "commanded", "command": self._expert.command().tolist()}

    def audition(self, seed: int, setting: str) -> dict[str, Any]:
        return {"answer": "auditioned", **self._env.domain.audition(seed, setting)}

    def close(self) -> dict[str, Any]:
        self._env.close()
        return {"answer": "done"}


def main() -> None:
    child.host(Host)


if __name__ == "__main__":
    main()
