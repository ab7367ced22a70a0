"""Logs to Weights & Biases, offline unless ``WANDB_MODE`` says otherwise: nothing leaves the machine unasked, and a
run waits for nobody's server. ``wandb sync`` sends it later."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import wandb

from lingbot_eval.errors import NotReady


class WeightsAndBiases:
    """Makes one run per coordinator, in ``folder/wandb``; those of one run directory are the group ``group``. wandb's
    own variables say the rest (``WANDB_PROJECT``, ``WANDB_ENTITY``).

    Raises NotReady where wandb does not begin: online without an account's key.
    """

    def __init__(self, folder: Path, group: str, counted: str) -> None:
        self._counted = counted
        mode: Literal["offline"] | None = None if "WANDB_MODE" in os.environ else "offline"
        project = os.environ.get("WANDB_PROJECT", "lingbot_eval")
        quiet = wandb.Settings(silent=True, console="off")  # the terminal is ours
        try:
            self._run = wandb.init(dir=str(folder), mode=mode, project=project, group=group, settings=quiet)
        except (wandb.Error, ValueError) as error:
            words = " ".join(str(error).split())
            raise NotReady(f"tracker=wandb: {words}; with WANDB_MODE=offline it needs nobody") from None

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({self._counted: step, **values})

    def close(self) -> None:
        self._run.finish()
