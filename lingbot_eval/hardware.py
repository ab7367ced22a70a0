"""Find out what an episode is computed on, for its record."""

from __future__ import annotations

import contextlib
import platform
from pathlib import Path


def hardware() -> dict[str, str]:
    """Return the processor, and NVIDIA's driver where there is one. A worker asks, because it may be on another machine
    than whoever started it."""
    found = {"cpu": _processor()}
    with contextlib.suppress(OSError):
        found["nvidia_driver"] = Path("/sys/module/nvidia/version").read_text().strip()
    return found


def _processor() -> str:
    """Return the processor's name as Linux gives it; elsewhere its architecture."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2]
    return platform.machine()
