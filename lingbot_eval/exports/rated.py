"""Keeps what runs measured in the checkpoint that they played, and in its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from lingbot_eval import files
from lingbot_eval.errors import BadInput
from lingbot_eval.exports.model_card import model_card, rates_of
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.own_file import SAMPLING, OwnFile, add_rates
from lingbot_eval.runs.contents import Contents
from lingbot_eval.settings.trained import Rate


def keep_rates(folder: Path, runs: Sequence[Contents]) -> OwnFile:
    """Add the rates of ``runs`` to the checkpoint in ``folder``, write its ``MODEL_CARD.md``, and return what it now
    says of itself.

    Raises BadInput for a run of another checkpoint, or with other sampling than the checkpoint proposes: a reader of
    the card would take its rates for the checkpoint's. BadCheckpoint, NotReady.
    """
    checkpoint = locate(str(folder))
    hash = checkpoint.hash()
    rates: list[Rate] = []
    for said in runs:
        experiment = said.run.experiment
        if (played := experiment.checkpoint) != hash:
            raise BadInput(
                f"{said.folder.path} is a run of the checkpoint {played or 'of nobody'}, not of {folder}, which is "
                f"{hash}"
            )
        _require_sampling(said, checkpoint.sampling)
        rates += rates_of(experiment, said.plan, said.final)
    own = add_rates(folder, rates)
    write_card(folder, folder.resolve().name, hash, own)
    return own


def write_card(folder: Path, name: str, hash: str, own: OwnFile) -> None:
    """Write the card of a checkpoint that says what it was trained on. Raises NotReady."""
    assert own.training is not None  # noqa: S101  (add_rates refuses it, and training writes it)
    file = folder / "MODEL_CARD.md"
    try:
        files.write_whole(file, model_card(name, hash, own.settings, own.training).encode())
    except OSError as error:
        raise files.unwritable(file, error) from None


def _require_sampling(said: Contents, proposed: Any) -> None:
    chosen = said.run.experiment.agent.get("lingbot", {}).get("settings", {})
    for name in SAMPLING:
        here, there = chosen.get(name), proposed.get(name)
        if name in chosen and name in proposed and here != there:
            raise BadInput(
                f"{said.folder.path} was played with {name}={msgspec.json.encode(here).decode()}, and the checkpoint "
                f"proposes {msgspec.json.encode(there).decode()}: its rates belong into a table, not on the card"
            )
