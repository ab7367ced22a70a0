"""How a dataset's latents were made: ``latents/made.json``; no torch here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lingbot_eval.datasets.lerobot import folders_in
from lingbot_eval.datasets.robots import load_robot, robot_names, settings_of
from lingbot_eval.errors import BadInput, CorruptRecords, NotReady
from lingbot_eval.files import parsed, read, with_checksum, write_whole
from lingbot_eval.hashes import sha256
from lingbot_eval.settings import as_struct, to_dict
from lingbot_eval.settings.robot import Robot

if TYPE_CHECKING:
    from lingbot_eval.models.lingbot_va.checkpoint import Checkpoint

DECISIVE = ("layout", "cameras", "height", "width", "commands_per_frame")
"""These of the model's settings decide what latents are; the others may change afterwards."""


@dataclass(frozen=True)
class Made:
    """What decides latents."""

    robot: Mapping[str, Any]
    encoders: str
    """The hash of the VAE, the text encoder and the tokenizer."""
    dtype: str

    def of(self, robot: Robot) -> Made:
        """Return the same for another robot."""
        return Made(to_dict(robot), self.encoders, self.dtype)

    def differences(self, other: Made) -> list[str]:
        """Return what another one has otherwise, one line each."""
        mine, theirs = (settings_of(as_struct(one.robot, Robot)) for one in (self, other))
        pairs: dict[str, tuple[Any, Any]] = {name: (getattr(mine, name), getattr(theirs, name)) for name in DECISIVE}
        pairs["tail"] = (self.robot.get("tail"), other.robot.get("tail"))
        pairs["encoders"], pairs["dtype"] = (self.encoders, other.encoders), (self.dtype, other.dtype)
        return [f"{name} was {was}, and is {now}" for name, (was, now) in pairs.items() if was != now]


def encoders_hash(checkpoint: Checkpoint) -> str:
    """Return 12 hex digits over the files of a checkpoint's VAE, text encoder and tokenizer. Raises NotReady."""
    digest = hashlib.sha256()
    for path in checkpoint.files():
        if path not in checkpoint.transformer:
            try:
                digest.update(sha256(path))
            except OSError as error:
                raise NotReady(f"cannot read {path}: {error.strerror}") from None
    return digest.hexdigest()[:12]


def read_made(dataset: Path) -> Made | None:
    """Return how the latents were made; None where nobody says so, as of the original's.

    Raises BadInput.
    """
    file = dataset / "latents" / "made.json"
    try:
        content = read(file)
        if content is None:
            return None
        said = parsed(content, file)
        return Made(said["robot"], said["encoders"], said["dtype"])
    except (CorruptRecords, KeyError) as error:
        raise BadInput(f"{file} is not what this package writes: {error}") from None


def write_made(dataset: Path, made: Made) -> None:
    """Raises OSError."""
    write_whole(dataset / "latents" / "made.json", with_checksum(asdict(made)))


def robot_for(folder: Path, name: str | None) -> Robot:
    """Return the robot that is named, or that the latents in ``folder`` were made for.

    Raises BadInput where none is named and they do not say one, NotReady where there is no dataset.
    """
    if name is not None:
        return load_robot(name)
    for dataset in folders_in(folder):
        if (made := read_made(dataset)) is not None:
            robot: Robot = as_struct(made.robot, Robot)
            return robot
    raise BadInput(f"{folder} does not say of which robot it is: --robot {' | '.join(robot_names())} | FILE.yaml")
