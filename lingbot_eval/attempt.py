"""Run a command for its answer, however slow the machine is, and end it when it gets nowhere."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lingbot_eval.processes import descendants

LOOKS_SECONDS = 0.5
"""So many seconds pass between two looks at what the command does."""


@dataclass(frozen=True)
class Attempt:
    """A command that has ended."""

    code: int
    out: str
    err: str
    seconds: float
    """Seconds of wall clock from its start to its end."""


class Stuck(Exception):
    """The command got nowhere and was ended. The message says why, and follows the command's name."""


def attempt(
    command: Sequence[str],
    text: str = "",
    environment: Mapping[str, str] | None = None,
    idle: float = 120.0,
    busy: float = math.inf,
) -> Attempt:
    """Give ``command`` its standard input and wait for its end, as long as it prints or computes.

    How much it gets done in a second is the machine's affair: ``idle`` are seconds of wall clock in which it neither
    printed nor used any CPU, ``busy`` CPU seconds in all; what it started counts as its own. Elsewhere than on Linux
    only what it prints is seen.

    Raises Stuck, and OSError where it cannot be started.
    """
    pipe, started = subprocess.PIPE, time.monotonic()
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            moved, before, given = started, (0.0, 0), text or None
            while True:
                try:
                    out, err = process.communicate(given, timeout=LOOKS_SECONDS)
                    return Attempt(process.returncode, out, err, time.monotonic() - started)
                except subprocess.TimeoutExpired as unfinished:
                    given = None  # it has it
                    printed, complaints = unfinished.output or b"", unfinished.stderr or b""
                family = [process.pid, *descendants(process.pid)]
                now, cpu = time.monotonic(), sum(map(_cpu_seconds, family))
                if (cpu, len(printed) + len(complaints)) != before:
                    moved, before = now, (cpu, len(printed) + len(complaints))
                if cpu > busy:
                    raise Stuck(f"computed for {cpu:.0f} s without an end{_last_words(printed)}")
                if now - moved > idle:
                    raise Stuck(f"did nothing for {idle:g} s{_last_words(printed)}")
        finally:
            for pid in (*descendants(process.pid), process.pid) if process.poll() is None else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _last_words(printed: bytes) -> str:
    lines = [line.strip() for line in printed.decode(errors="replace").splitlines() if line.strip()]
    return f", after it had said {lines[-1]!r}" if lines else ""


def _cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that ``pid`` and its children that have ended used; 0 where that cannot be known."""
    try:
        fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")  # utime, stime, cutime, cstime: proc_pid_stat(5)
