"""The simulator's process: ``python -m lingbot_eval.envs.host``, started by ``remote.RemoteEnv``."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from lingbot_eval import child
from lingbot_eval.child import Close
from lingbot_eval.envs import requests
from lingbot_eval.envs.spaces import disagreement
from lingbot_eval.errors import BadInput
from lingbot_eval.settings import to_dict
from lingbot_eval.settings.pace import NO_PATH, Pace
from lingbot_eval.shared_memory import SharedObservation
from lingbot_eval.suites import env_settings, suite_of
from lingbot_eval.types import EnvSpec

Said = Mapping[str, object]
"""The fields of an answer (``answers.py``)."""


class Host:
    """Answers the requests of one parent about one environment."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._expert: Any = None

    def answer(self, asked: requests.AnyRequest) -> Said:
        match asked:
            case requests.Make(settings):
                return self.make(settings)
            case requests.Reset(seed, options):
                return self.reset(seed, options)
            case requests.Step(action):
                return self.step(action)
            case requests.Render():
                return self.render()
            case requests.Expert(pace):
                return self.expert(pace)
            case requests.ExpertReset():
                return self.expert_reset()
            case requests.ExpertCommand():
                return self.expert_command()
            case requests.Audition(seed, setting):
                return self.audition(seed, setting)
            case Close():
                return self.close()

    def make(self, settings: Mapping[str, Any]) -> Said:
        described = env_settings(settings)
        self._suite = suite_of(described)
        self._env: Any = self._suite.make_env(described)
        if words := disagreement(self._env):
            raise BadInput(f"{type(self._env).__name__}: {words}")
        spec: EnvSpec = self._env.get_wrapper_attr("env_spec")
        if words := _differing(self._suite.env_spec(described), spec):
            who = type(self._env.unwrapped).__name__
            raise BadInput(f"{who}: env_spec is not the one that {self._suite.name} says it is: {words}")
        self._shared = SharedObservation(self._memory, spec)
        return {"answer": "made", "env_spec": to_dict(spec), "metadata": self._env.metadata}

    def reset(self, seed: int | None, options: Mapping[str, Any]) -> Said:
        observation, info = self._env.reset(seed=seed, options=options)
        self._shared.write(observation)
        return {"answer": "looked", "info": info}

    def step(self, action: list[list[float]]) -> Said:
        observation, reward, terminated, truncated, info = self._env.step(np.asarray(action, np.float32))
        self._shared.write(observation)
        said = {"reward": reward, "terminated": terminated, "truncated": truncated, "info": info}
        return {"answer": "stepped", **said}

    def render(self) -> Said:
        picture = self._env.render()
        self._shared.write_picture(picture)
        return {"answer": "drawn", "shape": picture.shape}

    def expert(self, pace: Pace) -> Said:
        """Load the suite's privileged expert."""
        if not self._suite.expert:
            raise BadInput(f"{self._suite.name} has no expert")
        module, _, name = self._suite.expert.partition(":")
        made = getattr(importlib.import_module(module), name)
        if pace.usual:
            self._expert = made(self._env.domain)
        elif "pace" in inspect.signature(made).parameters:
            self._expert = made(self._env.domain, pace=pace)
        else:
            raise BadInput(f"{pace}: {self._suite.name}{NO_PATH}")
        return {"answer": "done"}

    def expert_reset(self) -> Said:
        self._expert.reset()
        return {"answer": "done"}

    def expert_command(self) -> Said:
        return {"answer": "commanded", "command": self._expert.command().tolist()}

    def audition(self, seed: int, setting: str) -> Said:
        return {"answer": "auditioned", **self._env.domain.audition(seed, setting)}

    def close(self) -> Said:
        self._env.close()
        return {"answer": "done"}


def _differing(known: EnvSpec, spec: EnvSpec) -> str:
    """Say in words what of ``spec`` differs from what was known before it was made: the agent was checked against that.
    The order of cameras counts."""
    before, now = ({**to_dict(one), "cameras": to_dict(list(one.cameras.items()))} for one in (known, spec))
    return "; ".join(f"{name} {now[name]!r}, not {value!r}" for name, value in before.items() if now[name] != value)


def main() -> None:
    child.host(Host, requests.AnyRequest)


if __name__ == "__main__":
    main()
