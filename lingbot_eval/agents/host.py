"""Run an agent in the process of an interpreter of its own: ``remote.py`` starts
``python -m lingbot_eval.agents.host``.

That interpreter may be another Python, with another numpy. It needs lingbot_eval, of the same version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lingbot_eval
from lingbot_eval import child
from lingbot_eval.agents import requests
from lingbot_eval.agents.own import declares, described, factory
from lingbot_eval.agents.shared_frames import SharedFrames
from lingbot_eval.child import Close
from lingbot_eval.revision import code_hash
from lingbot_eval.settings import to_dict
from lingbot_eval.types import EnvSpec, Observation

Said = Mapping[str, object]
"""The fields of an answer, by name."""


class Host:
    """It answers the requests of one parent about one agent."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._seen: list[Observation] = []

    def answer(self, asked: requests.AnyRequest) -> Said:
        match asked:
            case requests.Hello():
                return self.hello()
            case requests.Declare(entry):
                return to_dict(declares(entry))
            case requests.Describe(entry, options, fresh):
                return to_dict(described(entry, options, fresh))  # it is imported; none is made
            case requests.Load(entry, options, content, spec):
                return self.load(entry, options, content, spec)
            case requests.Reset(instruction, seed):
                return self.reset(instruction, seed)
            case requests.See(count):
                return self.see(count)
            case requests.Act(count):
                return self.act(count)
            case Close():
                return {"answer": "done"}

    def hello(self) -> Said:
        return {
            "answer": "hello",
            "lingbot_eval": lingbot_eval.__version__,
            "code": code_hash(),
        }

    def load(self, entry: str, options: Mapping[str, Any], content: str, spec: EnvSpec) -> Said:
        self._frames = SharedFrames(self._memory, spec)
        self._agent = factory(entry, options, content)(spec)
        return {"answer": "done"}

    def reset(self, instruction: str, seed: int) -> Said:
        self._seen.clear()
        self._agent.reset(instruction, seed=seed)
        return {"answer": "done"}

    def see(self, count: int) -> Said:
        """Take observations from the memory, which has no room for all since the last action."""
        self._seen += self._frames.read(count)
        return {"answer": "done"}

    def act(self, count: int) -> Said:
        self.see(count)
        frames, self._seen = self._seen, []
        return {"answer": "acted", "actions": self._agent.act(frames).tolist()}


def main() -> None:
    child.host(Host, requests.AnyRequest)


if __name__ == "__main__":
    main()
