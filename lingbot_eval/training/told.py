"""What whoever watches a training is told. No torch here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Told:
    """What whoever watches is told after a line of the curve."""

    step: int
    """So many optimizer steps are done."""
    line: dict[str, Any]
    """As the curve has it."""
    seconds: float = 0.0
    """The optimizer step took so long."""
    tokens: float = 0.0
    """It read so many, in all processes."""
    gigabytes: float = 0.0
    """At most so much of the GPU's memory was in use until now, in this process."""
    utilisation: float | None = None
    """Of the GPU's peak, where that is known."""


Tell = Callable[[Told], None]
