"""Play an agent of the user's own in an interpreter of its own, which is watched as a simulator is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import lingbot_eval
from lingbot_eval.agents import requests
from lingbot_eval.agents.own import Declared, Declares, Described, PerLane, checked
from lingbot_eval.agents.shared_frames import SharedFrames
from lingbot_eval.child import A, Answer, Child, Done, Kind, Request
from lingbot_eval.envs.spaces import as_float32
from lingbot_eval.errors import (
    AgentDied,
    AgentError,
    AgentGarbled,
    AgentHung,
    AgentRaised,
    BadAction,
    BadInput,
    LingbotEvalError,
    NotReady,
)
from lingbot_eval.revision import code_hash
from lingbot_eval.settings import Limits
from lingbot_eval.settings.own_agent import OwnAgentSettings
from lingbot_eval.types import Actions, Agent, EnvSpec, Observation

# Caches stay where they are: what a policy fetched or compiled once (models of the hub, kernels) serves every process.
AGENT = Kind(
    module="lingbot_eval.agents.host",
    who="the agent",
    setting="agent.python",
    raised=AgentRaised,
    died=AgentDied,
    hung=AgentHung,
    impossible=AgentGarbled,
)


class Hello(Answer):
    """The agent's interpreter says what it has."""

    lingbot_eval: str
    code: str
    """The hash of the files of its lingbot_eval."""


class Acted(Answer):
    actions: list[list[list[float]]]
    """(N, K, D): the agent's next actions."""


def load(settings: OwnAgentSettings, limits: Limits, log: Path | None = None) -> Callable[[EnvSpec], Agent]:
    """Return what a worker keeps for a run: a function that gives the agent of the calling thread for a specification,
    each in a process that dies with the thread. ``log`` is the file to which their prints are appended."""
    return PerLane(lambda spec: RemoteAgent(settings, spec, limits, log))


def described(settings: OwnAgentSettings, limits: Limits, fresh: bool = False) -> Described:
    """Ask a fresh process of the agent's interpreter what is known of the class: nothing that was imported before
    counts there, and what the class imports stays there.

    Raises NotReady where that cannot be asked, BadInput for what is wrong with the class or its options.
    """
    return _asked(Described, requests.Describe(settings.entry, settings.options, fresh), settings.python, limits)


def declared(entry: str, python: str | None, limits: Limits) -> Declared:
    """Ask a fresh process of the interpreter ``python`` (None: ours) what the class declares. Raises as
    :func:`described`."""
    return _asked(Declares, requests.Declare(entry), python, limits).declared


def _asked(answer: type[A], request: Request, python: str | None, limits: Limits) -> A:
    try:
        child = started(python, limits)
        try:
            return child.ask(answer, request, limits.load_seconds)
        finally:
            child.end()
    except AgentHung as error:
        raise BadInput(f"{error} (limits.load_seconds)") from None
    except AgentError as error:
        raise BadInput(str(error)) from None


def started(python: str | None, limits: Limits, log: Path | None = None) -> Child:
    """Start a process of the interpreter ``python``; None: ours.

    Raises NotReady where it cannot host an agent, with the line to type.
    """
    python = python or sys.executable
    child = Child(AGENT, python, log)
    try:
        hello = child.ask(Hello, requests.Hello(), limits.load_seconds)
    except (AgentDied, AgentGarbled, AgentRaised) as error:
        raise NotReady(f"agent.python={python} cannot play an agent: {error}. {_line(python)}") from None
    if (hello.lingbot_eval, hello.code) != (lingbot_eval.__version__, code_hash()):
        child.end()
        theirs, ours = f"{hello.lingbot_eval} ({hello.code})", f"{lingbot_eval.__version__} ({code_hash()})"
        raise NotReady(f"agent.python={python} has lingbot_eval {theirs}, this is {ours}. {_line(python)}")
    return child


def _line(python: str) -> str:
    """Return the line to type so that ``python`` can host an agent."""
    checkout = Path(lingbot_eval.__file__).parents[1]
    ours = str(checkout) if (checkout / "pyproject.toml").is_file() else f"lingbot_eval=={lingbot_eval.__version__}"
    return f"It needs Python 3.10 or later, and the same lingbot_eval: {python} -m pip install {ours}"


class RemoteAgent:
    """It is the agent that ``settings`` describe, for environments that speak ``spec``, in a process of its own.

    One that raises, dies, gives no answer in time or one that cannot be is killed, and the call raises AgentRaised,
    AgentDied, AgentHung or AgentGarbled; the next ``reset`` starts a fresh one.
    """

    def __init__(self, settings: OwnAgentSettings, spec: EnvSpec, limits: Limits, log: Path | None = None) -> None:
        self._settings, self._spec, self._limits, self._log = settings, spec, limits, log
        self._child: Child | None = None
        self._start()

    def ready(self) -> None:
        if self._child is None or self._child.ended:
            self._start()

    def reset(self, instruction: str, *, seed: int) -> None:
        self.ready()
        self._ask(Done, requests.Reset(instruction, seed))

    def act(self, frames: Sequence[Observation]) -> Actions:
        """Return the agent's next actions. Raises BadAction as ``OwnAgent`` does, and the errors of the process."""
        self._running()
        while len(frames) > (room := self._shared.count):
            self._shared.write(frames[:room])
            self._ask(Done, requests.See(room))
            frames = frames[room:]
        self._shared.write(frames)
        acted = self._ask(Acted, requests.Act(len(frames)))
        try:
            return checked(as_float32(acted.actions), self._spec, self._settings.name)
        except (BadAction, ValueError) as error:  # it was looked at there, too
            raise self._running().impossible("act", str(error)) from None

    def close(self) -> None:
        if self._child is not None:
            self._child.end()

    def __del__(self) -> None:
        if child := getattr(self, "_child", None):
            child.end()

    def _start(self) -> None:
        self._child = started(self._settings.python, self._limits, self._log)
        try:
            self._shared = SharedFrames(self._child.memory, self._spec)
        except ValueError as error:
            self._child.end()
            raise BadInput(f"agent.python: {error}") from None
        chosen = self._settings
        asked = requests.Load(chosen.entry, chosen.options, chosen.content, self._spec)
        try:
            self._child.ask(Done, asked, self._limits.load_seconds)
        except LingbotEvalError:  # it may have survived, without an agent
            self._child.end()
            raise

    def _running(self) -> Child:
        if self._child is None or self._child.ended:
            raise AgentDied("the agent's process has ended; reset() starts another")
        return self._child

    def _ask(self, answer: type[A], request: Request) -> A:
        return self._running().ask(answer, request, self._limits.agent_seconds)
