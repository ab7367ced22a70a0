"""Checkpoints that are shipped in this package, named ``builtin:NAME``. No torch here."""

from __future__ import annotations

import os
from pathlib import Path

from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.files import listed
from lingbot_eval.models.lingbot_va.own_file import NAME

PREFIX = "builtin:"

FOLDER = Path(__file__).parent / "checkpoints"
"""Each folder in it with a ``lingbot_eval.json`` is one; there may be none."""


def builtin_names() -> list[str]:
    return [folder.name for folder in listed(FOLDER) if (folder / NAME).is_file()]


def is_folder(checkpoint: str) -> bool:
    """Say whether a checkpoint is given by its place on this machine, and not by what the hub calls it."""
    return checkpoint.startswith(PREFIX) or os.path.isdir(checkpoint)


def builtin_folder(checkpoint: str) -> Path:
    """Return where ``builtin:NAME`` lies. Raises BadInput for a name that this version does not ship."""
    name = checkpoint.removeprefix(PREFIX)
    if name in (known := builtin_names()):
        return FOLDER / name
    if known:
        raise UnknownName("built-in checkpoint", name, known)
    raise BadInput(f"unknown built-in checkpoint {name!r}: this version ships none")
