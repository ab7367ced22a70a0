"""Weights & Biases. Offline unless ``WANDB_MODE`` says otherwise: nothing leaves the machine unasked, and a run waits
for nobody's server. ``wandb sync`` sends it later."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import wandb


class WeightsAndBiases:
    """One run per coordinator, in ``folder/wandb``; those of one run directory are the group ``group``. wandb's own
    variables say the rest (``WANDB_PROJECT``, ``WANDB_ENTITY``)."""

    def __init__(self, folder: Path, group: str) -> None:
        mode = None if "WANDB_MODE" in os.environ else "offline"
        project = os.environ.get("WANDB_PROJECT", "lingbot_eval")
        quiet = wandb.Settings(silent=True, console="off")  # the terminal is ours
        self._run = wandb.init(dir=str(folder), mode=mode, project=project, group=group, settings=quiet)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"episodes": step, **values})

    def close(self) -> None:
        self._run.finish()
