"""Chance depends on what it is drawn for, and on nothing before it: so a training that goes on, that has more
processes or that accumulates draws the same."""

from __future__ import annotations

import hashlib

import torch


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a generator (on the CPU: the same numbers on every device) of its own for ``purpose``."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
