"""The process of an agent in an interpreter of its own: ``python -m lingbot_eval.agents.host``, started by
``remote.py``.

That interpreter may be another Python, with another numpy. It needs lingbot_eval, of the same version.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

import lingbot_eval
from lingbot_eval import child
from lingbot_eval.agents.own import OwnAgent, described, factory
from lingbot_eval.agents.shared_frames import SharedFrames
from lingbot_eval.revision import code_hash
from lingbot_eval.settings import as_struct, to_dict
from lingbot_eval.types import EnvSpec, Observation


class Host:
    """Answers the requests of one parent about one agent, each with the fields of an answer."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._seen: list[Observation] = []

    def hello(self) -> dict[str, Any]:
        return {
            "answer": "hello",
            "lingbot_eval": lingbot_eval.__version__,
            "code": code_hash(),
            "python": platform.python_version(),
            "numpy": np.__version__,
        }

    def describe(self, entry: str, options: Mapping[str, Any], fresh: bool) -> dict[str, Any]:
        """Import the class and check its options; none is made."""
        return to_dict(described(entry, options, fresh))

    def load(self, entry: str, options: Mapping[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        speaks: EnvSpec = as_struct(spec, EnvSpec)
        self._frames = SharedFrames(self._memory, speaks)
        self._agent: OwnAgent = factory(entry, options)(speaks)
        return {"answer": "done"}

    def reset(self, instruction: str, seed: int) -> dict[str, Any]:
        self._seen.clear()
        self._agent.reset(instruction, seed=seed)
        return {"answer": "done"}

    def see(self, count: int) -> dict[str, Any]:
        """Take observations from the memory, which has no room for all since the last action."""
        self._seen += self._frames.read(count)
        return {"answer": "done"}

    def act(self, count: int) -> dict[str, Any]:
        self.see(count)
        frames, self._seen = self._seen, []
        return {"answer": "acted", "actions": self._agent.act(frames).tolist()}

    def close(self) -> dict[str, Any]:
        return {"answer": "done"}


def main() -> None:
    child.host(Host)


if __name__ == "__main__":
    main()
