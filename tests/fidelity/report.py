"""What a replay found: the largest error of each kind of tensor, and what differs that should be equal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

ATOL, RTOL = 2e-4, 1e-4
"""Ten times what two valid executions of the original differ by."""
TABLE_RTOL = 1e-6
"""Noise schedules."""
BF16_RMS = 0.08
"""Of the standard deviation; what bfloat16 costs is a few per cent, and a bug is more than this."""

INPUTS = r"^in/|keyframes/|/noise/|/kv/state$|decoded_video_(frames|shape)$"
"""What a case is replayed from."""
LISTED = r"text/.*_ids$|final_pool/(serial|token|is_pred)$"
"""Compared as lists."""
SLOT_TABLES = r"/cache_(mask|id|is_pred|mask_after_clear_pred)$"
"""Where the original keeps its tokens is its own affair; what is attended to is compared call by call."""


@dataclass
class Error:
    """The largest of one kind."""

    count: int = 0
    identical: int = 0
    """Bit by bit."""
    largest: float = 0.0
    where: str = ""
    excess: float = 0.0
    """Largest error / its tolerance."""
    rms: float = 0.0
    """Largest relative root mean square."""


@dataclass
class Report:
    """Errors by kind of tensor, and what differs that should be equal."""

    half: bool
    """bfloat16: values are informative, structure is not."""
    errors: dict[str, Error] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    compared: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    """Computed here, and not recorded."""

    @property
    def passed(self) -> bool:
        if self.half:
            return not self.differences and all(error.rms <= BF16_RMS for error in self.errors.values())
        return not self.differences and all(error.excess <= 1 for error in self.errors.values())

    def close(
        self,
        kind: str,
        name: str,
        got: Any,
        wanted: torch.Tensor | None,
        rtol: float = RTOL,
        atol: float | torch.Tensor = ATOL,
    ) -> None:
        if wanted is None:
            self.missing.append(name)
            return
        got, wanted = torch.as_tensor(got).detach().float().cpu(), wanted.float()
        self.compared.add(name)
        if got.shape != wanted.shape:
            self.differences.append(f"{name}: shape {tuple(got.shape)}, recorded {tuple(wanted.shape)}")
            return
        if not got.isfinite().all() or not wanted.isfinite().all():
            self.differences.append(f"{name}: not finite")
            return
        off = (got - wanted).abs()
        error = self.errors.setdefault(kind, Error())
        error.count += 1
        error.identical += torch.equal(got, wanted)
        if not off.numel():
            return
        excess = float((off / (atol + rtol * wanted.abs())).max())
        if off.max() >= error.largest:
            error.largest, error.where = float(off.max()), name
        error.excess = max(error.excess, excess)
        scale = float(wanted.std(correction=0)) or 1.0
        error.rms = max(error.rms, float(off.square().mean().sqrt()) / scale)

    def equal(self, what: str, got: Any, wanted: Any) -> None:
        if got != wanted:
            self.differences.append(f"{what}: {got}, recorded {wanted}")

    def listed(self, name: str, got: list[Any], wanted: torch.Tensor | None) -> None:
        if wanted is None:
            self.missing.append(name)
        else:
            self.equal(name, got, wanted.tolist())

    def left(self, recorded: Iterable[str]) -> list[str]:
        """Names of recorded tensors that nothing was compared with, other than those that need no comparison."""
        rest = set(recorded) - self.compared
        return sorted(name for name in rest if not re.search(f"{INPUTS}|{LISTED}|{SLOT_TABLES}", name))

    def lines(self, recorded: Iterable[str] = ()) -> Iterator[str]:
        for kind, error in self.errors.items():
            mark = "" if self.half or error.excess <= 1 else "  BEYOND TOLERANCE"
            detail = f"{error.count:4} tensors, {error.identical:4} identical; rms {error.rms:.1e}; {error.where}"
            yield f"  {kind:18} {error.largest:9.2e}  ({detail}){mark}"
        yield from (f"  DIFFERENT {line}" for line in self.differences[:20])
        if len(self.differences) > 20:
            yield f"  DIFFERENT and {len(self.differences) - 20} more"
        for what, names in (("not recorded", self.missing), ("not computed here", self.left(recorded))):
            if names:
                yield f"  {what}: {_summary(names)}"


def _summary(names: Iterable[str]) -> str:
    """How many of each kind, chunks, steps and layers aside."""
    kinds = Counter(re.sub(r"(chunk|step|layer)\d+", r"\1*", name) for name in names)
    return ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items()))
