"""AdamW, how its rate goes, and the average of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from lingbot_eval.settings.train import Optimizer

YOUNG = 20
"""The average of the weights forgets faster in the first steps: min(decay, step / (step + 20)), so that it does not
keep what was there before training."""


def adamw(parameters: Mapping[str, torch.nn.Parameter], settings: Optimizer) -> torch.optim.AdamW:
    """Make the optimizer; :func:`set_rate` gives it a rate before every step."""
    vectors = [value for value in parameters.values() if settings.decays == "matrices" and value.dim() < 2]
    known = {id(value) for value in vectors}
    rest = [value for value in parameters.values() if id(value) not in known]
    groups = [
        {"params": values, "weight_decay": decay}
        for values, decay in ((rest, settings.weight_decay), (vectors, 0.0))
        if values
    ]
    betas = (settings.beta1, settings.beta2)
    return torch.optim.AdamW(groups, lr=settings.rate, betas=betas, eps=settings.eps, fused=True)


def rate(settings: Optimizer, step: int, steps: int) -> float:
    """Return the rate of optimizer step ``step``, from 0, of ``steps``: as the original, whose first step has none."""
    warm = min(1.0, step / settings.warm_up) if settings.warm_up else 1.0
    if settings.schedule == "constant":
        return settings.rate * warm
    fallen = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return settings.rate * warm * (settings.floor + (1 - settings.floor) * fallen)


def set_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = value


class Average:
    """The exponential average of weights, in memory of its own."""

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter], decay: float) -> None:
        self._parameters, self._decay = parameters, decay
        self.values: dict[str, Tensor] = {name: value.detach().clone() for name, value in parameters.items()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take in the weights after the ``step``-th optimizer step, counted from 1."""
        share = 1 - min(self._decay, step / (step + YOUNG))
        torch._foreach_lerp_(list(self.values.values()), [one.detach() for one in self._parameters.values()], share)

    @torch.no_grad()
    def exchange(self) -> None:
        """Put the average in the weights' place and them in its; twice changes nothing."""
        for name, value in self._parameters.items():
            held = value.detach().clone()
            value.copy_(self.values[name])
            self.values[name].copy_(held)
