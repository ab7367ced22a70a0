"""The processes that train together: one, or those that torchrun has started."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from lingbot_eval.errors import BadInput, NotReady

PATIENCE = timedelta(hours=12)
"""The others wait so long for the first one, which alone plays and writes."""


@dataclass(frozen=True)
class Ranks:
    """Where this process stands among ``count``, of which ``local`` are on this machine."""

    rank: int
    count: int
    local: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def summed(self, values: Sequence[float]) -> list[float]:
        """Return the sums over all processes, in float64."""
        if self.count == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(tensor)
        return tensor.tolist()

    def told(self, value: Any) -> Any:
        """Return the first process's ``value``, plain data, in every process."""
        if self.count == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held)
        return held[0]

    def meet(self) -> None:
        """Wait for all the others."""
        if self.count > 1:
            dist.barrier()


def device_named(name: str, local_rank: int) -> torch.device:
    """Return the device of a process. Raises BadInput for one that is not on this machine."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{local_rank}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadInput(f"device={name}: {str(error).splitlines()[0]} (valid: auto, cpu, cuda)") from None
    return device


@contextlib.contextmanager
def joined(device: str, grouped: bool) -> Iterator[Ranks]:
    """Join the processes that torchrun started. ``grouped``: make a group also of one process, which FSDP2 needs.

    Raises NotReady where they do not find each other.
    """
    count, local_rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    place = device_named(device, local_rank)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if count == 1 and not grouped:
        yield Ranks(0, 1, 1, place)
        return
    backend = "cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo"
    try:
        if count > 1:
            dist.init_process_group(backend, timeout=PATIENCE)
        else:
            alone = dist.HashStore()  # type: ignore[attr-defined]
            dist.init_process_group(backend, store=alone, rank=0, world_size=1)
    except (RuntimeError, ValueError) as error:
        raise NotReady(f"the {count} processes of torchrun did not meet: {str(error).splitlines()[0]}") from None
    try:
        yield Ranks(dist.get_rank(), count, int(os.environ.get("LOCAL_WORLD_SIZE", "1")), place)
    finally:
        dist.destroy_process_group()
