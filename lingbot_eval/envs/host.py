"""The simulator's process: ``python -m lingbot_eval.envs.host``, started by ``remote.RemoteEnv``."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from lingbot_eval import child
from lingbot_eval.envs.spaces import disagreement
from lingbot_eval.errors import BadInput
from lingbot_eval.settings import to_dict
from lingbot_eval.shared_memory import SharedObservation
from lingbot_eval.suites import env_settings, suite_of
from lingbot_eval.types import EnvSpec


class Host:
    """Answers the requests of one parent about one environment, each with the fields of an answer (``answers.py``)."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._expert: Any = None

    def make(self, settings: dict[str, Any]) -> dict[str, Any]:
        described = env_settings(settings)
        self._suite = suite_of(described)
        self._env: Any = self._suite.make_env(described)
        if words := disagreement(self._env):
            raise BadInput(f"{type(self._env).__name__}: {words}")
        spec: EnvSpec = self._env.get_wrapper_attr("env_spec")
        self._shared = SharedObservation(self._memory, spec)
        return {"answer": "made", "env_spec": to_dict(spec), "metadata": self._env.metadata}

    def reset(self, seed: int | None, options: dict[str, Any]) -> dict[str, Any]:
        observation, info = self._env.reset(seed=seed, options=options)
        self._shared.write(observation)
        return {"answer": "looked", "info": info}

    def step(self, action: list[list[float]]) -> dict[str, Any]:
        observation, reward, terminated, truncated, info = self._env.step(np.asarray(action, np.float32))
        self._shared.write(observation)
        said = {"reward": reward, "terminated": terminated, "truncated": truncated, "info": info}
        return {"answer": "stepped", **said}

    def render(self) -> dict[str, Any]:
        picture = self._env.render()
        self._shared.write_picture(picture)
        return {"answer": "drawn", "shape": picture.shape}

    def expert(self) -> dict[str, Any]:
        """Load the suite's privileged expert."""
        if not self._suite.expert:
            raise BadInput(f"{self._suite.name} has no expert")
        module, _, name = self._suite.expert.partition(":")
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
