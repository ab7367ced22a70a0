"""How the weights lie on the processes, in which precision they compute, and what a forward keeps for the gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from lingbot_eval.models.lingbot_va.training import Trainable
from lingbot_eval.settings.train import TrainSettings
from lingbot_eval.training.ranks import Ranks

WRAPPED = "_checkpoint_wrapped_module."
"""Activation checkpointing puts this into the names of parameters."""


def grouped(settings: TrainSettings) -> bool:
    """Say whether even one process needs a group: bfloat16 copies of float32 weights are FSDP2's."""
    return settings.precision == "bf16"


def lay_out(trainable: Trainable, settings: TrainSettings, ranks: Ranks) -> None:
    """Compile blocks, or wrap them so that they forget and compute anew; shard blocks and the rest over all processes."""
    blocks: Any = trainable.transformer.blocks
    if settings.compile:
        for block in blocks:
            block.compile(dynamic=False)
    if settings.recompute:  # before sharding, as the original; no dropout, so no generator needs to be kept
        for number, block in enumerate(blocks):
            blocks[number] = checkpoint_wrapper(block, preserve_rng_state=False)
    if ranks.count == 1 and not grouped(settings):
        return
    mesh = init_device_mesh(ranks.device.type, (ranks.count,))
    half = torch.bfloat16 if settings.precision == "bf16" else None
    reduced = torch.float32 if half else None
    policy = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=reduced, cast_forward_inputs=False)
    for block in blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(trainable, mesh=mesh, mp_policy=policy)


def named(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are learnt, by their names in the checkpoint."""
    found = module.named_parameters()
    return {plain_name(name): value for name, value in found if value.requires_grad}


def plain_name(name: str) -> str:
    return name.replace(WRAPPED, "").removeprefix("transformer.")


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return all of a tensor of which every process has a part; all processes call this."""
    if isinstance(tensor, DTensor):
        full: torch.Tensor = tensor.full_tensor()
        return full
    return tensor
