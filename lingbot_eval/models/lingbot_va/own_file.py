"""``lingbot_eval.json``, beside the parts of a checkpoint that was trained here: the settings that it is played with,
and what it was trained on. No torch here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from lingbot_eval.errors import BadInput
from lingbot_eval.files import checksum, unwritable, with_checksum, write_whole
from lingbot_eval.models.lingbot_va.reading import BadCheckpoint, read_json
from lingbot_eval.settings.lingbot_va import LingBotSettings
from lingbot_eval.settings.trained import Rate, Training

NAME = "lingbot_eval.json"
SCHEMA = 1

SAMPLING = (
    *("window", "video_steps", "action_steps", "video_exec_step", "video_guidance", "action_guidance"),
    *("video_shift", "action_shift"),
)
"""Settings of how one samples. The file has them as defaults; the others are what the weights were trained with."""


class OwnFile(msgspec.Struct, frozen=True):
    settings: LingBotSettings
    training: Training | None
    """None: nothing was trained."""

    @property
    def fixed(self) -> dict[str, Any]:
        """Return the settings with which alone the weights make sense."""
        return {name: value for name, value in self._plain().items() if name not in SAMPLING}

    @property
    def sampling(self) -> dict[str, Any]:
        """Return the settings that whoever plays may choose otherwise."""
        return {name: value for name, value in self._plain().items() if name in SAMPLING}

    def content(self) -> bytes:
        """Return the file's content."""
        return with_checksum({"schema": SCHEMA, **msgspec.to_builtins(self)})

    def _plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = msgspec.to_builtins(self.settings)
        return plain


def read_own(folder: Path) -> OwnFile | None:
    """Return what the file in ``folder`` says; None where there is none.

    Raises BadCheckpoint for one that cannot be read, was changed, or is of a newer version.
    """
    file = folder / NAME
    if not os.path.lexists(file):
        return None
    data = read_json(file)
    if data.get("schema") != SCHEMA:
        raise BadCheckpoint(f"{file} has schema {str(data.get('schema'))[:20]}; this version reads {SCHEMA}")
    if data.get("checksum") != (real := checksum(data)):
        raise BadCheckpoint(f"{file} was changed: its content has checksum {real}; restore it")
    try:
        return msgspec.convert(data, OwnFile)
    except (msgspec.ValidationError, BadInput) as error:
        raise BadCheckpoint(f"{file}: {str(error).replace('`', '')}") from None


def add_rates(folder: Path, rates: Sequence[Rate]) -> OwnFile:
    """Keep ``rates`` in the file in ``folder``, in place of earlier ones of the same tasks under the same rules; the
    checkpoint stays the same one. Return what the file now says.

    Raises BadInput for a checkpoint that does not say what it was trained on, BadCheckpoint, NotReady.
    """
    own = read_own(folder)
    if own is None or own.training is None:
        raise BadInput(f"{folder} does not say what it was trained on: it has no {NAME} of a training")
    new = {_place(rate): rate for rate in (*own.training.rates, *rates)}
    training = msgspec.structs.replace(own.training, rates=tuple(new.values()))
    own = msgspec.structs.replace(own, training=training)
    try:
        write_whole(folder / NAME, own.content())
    except OSError as error:
        raise unwritable(folder, error) from None
    return own


def _place(rate: Rate) -> tuple[str, ...]:
    return rate.part, rate.task, rate.setting, rate.protocol_hash
