"""Says what LingBot-VA occupies, and whether it fits, before anything is loaded and without torch."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingbot_eval.errors import NotReady
from lingbot_eval.models.lingbot_va.checkpoint import Checkpoint, Tensors, shards
from lingbot_eval.models.lingbot_va.configuration import overridden
from lingbot_eval.settings.lingbot_va import LingBotAgentSettings, LingBotSettings

BYTES = {"bfloat16": 2, "float32": 4}

GPU_NODES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""NVIDIA's driver makes the first, Windows' for Linux the second, AMD's the third; torch calls any of them cuda."""

CPU_BYTES = 2e9
"""``auto`` puts a transformer of at most so many bytes on a CPU; the released ones have 10e9."""

PUBLISHED = {"num_layers": 30, "num_attention_heads": 24, "attention_head_dim": 128}
"""The released 5 B checkpoints have this shape (robbyant/lingbot-va-*, transformer/config.json)."""


@dataclass(frozen=True)
class Cache:
    """This is what one session keeps: keys and values of every layer, batch row and token slot."""

    layers: int
    rows: int
    slots: int
    width: int
    value_bytes: int

    @classmethod
    def of(cls, settings: LingBotSettings, config: Mapping[str, Any], dtype: str) -> Cache:
        """Return what a session with these settings keeps; ``config`` is the transformer's."""
        width = config["num_attention_heads"] * config["attention_head_dim"]
        return cls(config["num_layers"], settings.rows, settings.slots, width, BYTES[dtype])

    @property
    def bytes(self) -> int:
        return 2 * self.layers * self.rows * self.slots * self.width * self.value_bytes

    def __str__(self) -> str:
        return (
            f"{gigabytes(self.bytes)} (keys and values: 2 x {self.layers} layers x {self.rows} rows x {self.slots:,} "
            f"tokens x {self.width:,} x {self.value_bytes} bytes)"
        )


def chosen_device(checkpoint: Checkpoint, chosen: LingBotAgentSettings) -> str:
    """Return the device; ``auto`` is the first CUDA device, else the CPU.

    Raises NotReady for a model on the CPU that takes minutes per chunk there, unless the CPU is asked for.
    """
    if chosen.device != "auto":
        return chosen.device
    if os.environ.get("CUDA_VISIBLE_DEVICES") != "" and any(Path(node).exists() for node in GPU_NODES):
        return "cuda"
    weights = _values(checkpoint.transformer) * BYTES[chosen.dtype]
    if weights > CPU_BYTES:
        raise NotReady(
            f"no GPU here, and a transformer of {gigabytes(weights)} takes minutes per chunk on a CPU: "
            "agent.lingbot.device=cpu plays it there all the same"
        )
    return "cpu"


def require_memory(
    checkpoint: Checkpoint, chosen: LingBotAgentSettings, workers: int, sessions: int, gpus: Sequence[str] = ()
) -> None:
    """Compare what is free on each device with weights and caches; what a forward itself needs comes on top.
    ``gpus``: those that the workers have in turn, each as its only one.

    Raises NotReady with the arithmetic.
    """
    settings, _ = overridden(chosen.settings, checkpoint.settings)
    cache = Cache.of(settings, checkpoint.config, chosen.dtype)
    home = _numbered(chosen.device)
    parts = {
        "text_encoder": _numbered(chosen.text_device or home),
        "vae": _numbered(chosen.vae_device or home),
    }
    weights = dict.fromkeys((home, *parts.values()), 0)
    weights[home] += _values(checkpoint.transformer) * BYTES[chosen.dtype]
    for part, device in parts.items():
        weights[device] += _values(shards(checkpoint.parts / part)) * BYTES[chosen.dtype]
    for device, held in weights.items():
        caches = sessions * cache.bytes if device == home else 0
        on_gpus = gpus if device.startswith("cuda") else ()
        together = math.ceil(workers / len(on_gpus)) if on_gpus else workers
        needed = together * (held + caches)
        free = min(free_bytes(device, gpu) for gpu in on_gpus or (None,))
        if needed > free:
            sums = f"weights {gigabytes(held)}" + f" + {sessions} x {cache} a session" * bool(caches)
            raise NotReady(
                f"{device} has {gigabytes(free)} free, and {together} x ({sums}) = {gigabytes(needed)} are wanted: "
                "fewer agent.sessions or --workers, or other devices (agent.lingbot.text_device=cpu)"
            )


def _numbered(device: str) -> str:
    """Give ``cuda``, which is the first of them, its number."""
    return "cuda:0" if device == "cuda" else device


def free_bytes(device: str, gpu: str | None = None) -> int:
    """Return the memory that a new process could have on ``cpu`` (Linux: MemAvailable) or ``cuda[:N]``, if it sees
    ``gpu`` alone.

    Raises NotReady where there is no such device.
    """
    if device == "cpu":
        return _free_on_the_host()
    question = f"import torch; print(torch.cuda.mem_get_info({device!r})[0])"
    alone = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
    done = subprocess.run(  # our process stays off it
        [sys.executable, "-c", question], env={**os.environ, **alone}, capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NotReady(f"agent.lingbot.device={device}: {reason} (valid: cpu, cuda, cuda:N on a machine with CUDA)")
    return int(done.stdout)


def _free_on_the_host() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return sys.maxsize  # not Linux: nobody says what is free
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def _values(files: tuple[Path, ...] | list[Path]) -> int:
    return sum(math.prod(shape) for shape in Tensors(files).shapes.values())


def gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
