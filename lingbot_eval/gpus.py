"""NVIDIA's GPUs, by the names that $CUDA_VISIBLE_DEVICES takes."""

from __future__ import annotations

import os
from collections.abc import Sequence

from lingbot_eval.attempt import Stuck, attempt
from lingbot_eval.errors import NotReady, UnknownName


def visible() -> tuple[str, ...]:
    """Return the GPUs that a process started here would see: $CUDA_VISIBLE_DEVICES where it is set, else what the
    driver lists."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return tuple(name.strip() for name in named.split(",") if name.strip())
    question = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = attempt(question, idle=60.0)
    except (OSError, Stuck):  # no driver, or one that does not answer: CUDA would not either
        return ()
    return tuple(done.out.split()) if done.code == 0 else ()


def require(wanted: Sequence[str]) -> None:
    """Raise UnknownName or NotReady unless all of ``wanted`` are visible."""
    known = visible()
    for gpu in wanted:
        if not known:
            raise NotReady(f"--gpus {','.join(wanted)}: no NVIDIA GPU is visible here (--gpus none plays without)")
        if gpu not in known:
            raise UnknownName("GPU", gpu, known)
