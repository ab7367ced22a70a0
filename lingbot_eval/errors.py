"""Everything this package raises on purpose.

LingbotEvalError
├── BadInput             a value that the user gave is wrong: one line names the valid ones
│   └── UnknownName
├── NotReady             something is missing on this machine: says what, where it was looked for, what to do
│   └── Taken                another process is at it
├── UnstableScene        a seed whose objects do not come to rest: no episode
├── BadAction            an agent's array does not fit the environment; nothing is trimmed or padded
├── ChildError           a process that plays a part in an episode failed
│   ├── SimulatorError       the environment's did
│   │   ├── SimulatorRaised      raised (its traceback is in the message)
│   │   ├── SimulatorDied        ended by itself or by a signal
│   │   ├── SimulatorHung        gave no answer in time and was killed
│   │   └── ImpossibleAnswer     said what cannot be: no message, another type, out of range
│   └── AgentError           the agent's did, where it has an interpreter of its own
│       ├── AgentRaised          as above
│       ├── AgentDied
│       ├── AgentHung
│       └── AgentGarbled
├── RunMismatch          a run directory holds another experiment
├── Diverged             a training's loss or gradient is no number; the last good state is kept
├── PlaybackDiffers      recorded commands, played again, did not end as recorded
└── CorruptRecords       a records file cannot be read
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LingbotEvalError(Exception):
    """Base of all; its message is meant for a person, on one line where that is possible."""


class BadInput(LingbotEvalError):
    pass


class UnknownName(BadInput):
    def __init__(self, kind: str, given: object, known: Iterable[str]) -> None:
        names = list(known)
        near = difflib.get_close_matches(str(given), names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        super().__init__(f"unknown {kind} {given!r}{hint} (valid: {', '.join(names)})")


class NotReady(LingbotEvalError):
    pass


class UnstableScene(LingbotEvalError):
    pass


class BadAction(LingbotEvalError):
    pass


class ChildError(LingbotEvalError):
    pass


class SimulatorError(ChildError):
    pass


class SimulatorRaised(SimulatorError):
    pass


class SimulatorDied(SimulatorError):
    pass


class SimulatorHung(SimulatorError):
    pass


class ImpossibleAnswer(SimulatorError):
    pass


class AgentError(ChildError):
    pass


class AgentRaised(AgentError):
    pass


class AgentDied(AgentError):
    pass


class AgentHung(AgentError):
    pass


class AgentGarbled(AgentError):
    """The agent's process gave an answer that cannot be."""


class RunMismatch(LingbotEvalError):
    pass


class Diverged(LingbotEvalError):
    pass


class PlaybackDiffers(LingbotEvalError):
    pass


class Taken(NotReady):
    """Another process is doing this; once it has ended, try again."""


class CorruptRecords(LingbotEvalError):
    pass
