"""Converts commands in robot units to the model's 30 normalised channels, and back."""

from __future__ import annotations

import torch
from torch import Tensor

from lingbot_eval.settings.lingbot_va import LingBotSettings

EPSILON = 1e-6
"""Upstream adds this to every range; a channel whose quantiles are equal would divide by zero."""


class Normalisation:
    """Scales by quantiles: q01 becomes -1 and q99 becomes +1. Nothing is clipped."""

    def __init__(self, settings: LingBotSettings, dtype: torch.dtype, device: torch.device) -> None:
        count = len(settings.q01)
        self.mask = torch.zeros(count, dtype=torch.bool)
        self.mask[list(settings.channels)] = True
        self._channels = torch.tensor(settings.channels, device=device)
        self._low = torch.tensor(settings.q01, device=device).view(-1, 1, 1)
        self._range = torch.tensor(settings.q99, device=device).view(-1, 1, 1) - self._low + EPSILON
        self._count, self._dtype, self._device = count, dtype, device
        self.mask = self.mask.to(device).view(1, -1, 1, 1, 1)
        """(1, channels, 1, 1, 1) bool: which channels the robot has."""

    def normalised(self, commands: Tensor) -> Tensor:
        """(n_used, F, A) robot units -> (1, channels, F, A, 1) in the model's dtype; channels the robot lacks are 0."""
        full = torch.zeros(self._count, *commands.shape[1:], device=self._device)
        full[self._channels] = commands.to(self._device, torch.float32)
        scaled = ((full - self._low) / self._range * 2 - 1)[None, ..., None]
        return torch.where(self.mask, scaled, 0).to(self._dtype)

    def commands(self, normalised: Tensor) -> Tensor:
        """(1, channels, F, A, 1) in the model's dtype -> (n_used, F, A) float32 robot units.

        (x + 1) / 2 is done in the model's dtype, as upstream does; in bfloat16 that costs the last bit.
        """
        unit = (normalised[0, ..., 0] + 1) / 2
        return (unit.float() * self._range + self._low)[self._channels]
