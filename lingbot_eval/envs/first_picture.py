"""Draw a picture in a process of its own for ``gl.py`` and ``vulkan.py``, because a broken driver may crash or hang.

A machine that is slow is not one that cannot draw: the process may take its time for as long as it gets on.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from lingbot_eval.attempt import Stuck, attempt
from lingbot_eval.errors import NotReady

IDLE_SECONDS, BUSY_SECONDS = 120.0, 600.0
"""How long the process may make no progress (wall clock), and how long it may compute: a first picture takes two to
fifteen seconds of a CPU."""

SLOW_SECONDS = 60.0
"""From this much wall clock on, a first picture is said to be slow."""


@dataclass(frozen=True)
class FirstPicture:
    device: str
    """The name of the device that drew it."""
    seconds: float
    """Wall clock from the start of the process to its end."""

    @property
    def slow(self) -> str:
        """Say what to tell whoever waits; empty where the picture came fast enough."""
        if self.seconds < SLOW_SECONDS:
            return ""
        return (
            f"slow: {self.device} drew its first picture after {self.seconds:.0f} s, which takes a few where a CPU is "
            "free. The run's time limits are of wall clock: raise limits.start_seconds, limits.reset_seconds and "
            "limits.command_seconds if episodes end as errors (SimulatorHung)"
        )


def first_picture(
    script: str,
    who: str,
    python: str | None,
    environment: Mapping[str, str],
    advice: str = "",
    idle: float = IDLE_SECONDS,
) -> FirstPicture:
    """Run ``script`` in a Python. It draws, prints what it has come to on the way, and at last the device's name.

    ``who`` says in words what draws; ``environment`` has variables in addition; the process is ended after ``idle``
    seconds without progress.

    Raises NotReady with its last words, and ``advice`` where that is given and it is the drawing that failed.
    """
    command = [python or sys.executable, "-c", script]
    remedy = f". {advice}" if advice else ""
    try:
        done = attempt(command, environment={**os.environ, **environment}, idle=idle, busy=BUSY_SECONDS)
    except Stuck as how:
        raise NotReady(f"{who} drew no picture: its process {how}{remedy}") from None
    except OSError as error:
        raise NotReady(f"{command[0]} cannot be started: {error.strerror}") from None
    if done.code or not done.out.strip():
        words = [line for line in done.err.splitlines() if line.strip()][-1:] or [_ending(done.code)]
        raise NotReady(f"{who} draws nothing here: {words[0].strip()}{remedy}")
    return FirstPicture(done.out.strip().splitlines()[-1], done.seconds)


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
