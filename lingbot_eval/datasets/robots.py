"""The robots that are shipped, and those of a file; no torch here."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import yaml

from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.files import bounded
from lingbot_eval.models.lingbot_va.configuration import load_benchmark
from lingbot_eval.settings import as_struct, to_dict
from lingbot_eval.settings.lingbot_va import LingBotSettings
from lingbot_eval.settings.robot import Robot

LARGEST = 1 << 20
"""A robot's file has no more bytes."""


def robot_names() -> list[str]:
    folder = resources.files("lingbot_eval") / "conf" / "robot"
    return sorted(entry.name[: -len(".yaml")] for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_robot(name: str) -> Robot:
    """Return the robot shipped under ``name``, or that of a file whose name ends in .yaml.

    Raises UnknownName for another name, BadInput for a file that cannot be read or does not fit.
    """
    if name in robot_names():
        text = (resources.files("lingbot_eval") / "conf" / "robot" / f"{name}.yaml").read_text()
        return robot_of(text, f"conf/robot/{name}.yaml")
    if not name.endswith((".yaml", ".yml")):
        raise UnknownName("robot", name, [*robot_names(), "FILE.yaml"])
    try:
        text = bounded(Path(name), LARGEST).decode()
    except OSError as error:
        raise BadInput(f"cannot read the robot {name}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BadInput(f"the robot {name} is not UTF-8") from None
    return robot_of(text, name)


def robot_of(text: str, source: str) -> Robot:
    """Return the robot that YAML says; ``source`` is named where it does not fit. Raises BadInput."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"{source}: {' '.join(str(error).split())}") from None
    try:
        robot: Robot = as_struct(data, Robot)
        settings_of(robot)
    except BadInput as error:
        raise BadInput(f"{source}: {error}") from None
    return robot


def settings_of(robot: Robot) -> LingBotSettings:
    """Return what the model is trained and played with: the preset, with what the robot says otherwise.

    Raises UnknownName and BadInput.
    """
    said = to_dict(load_benchmark(robot.preset))
    for key in robot.settings:
        if key not in said:
            raise UnknownName("setting", key, said)
    said |= robot.settings
    if robot.columns:
        said |= _of_columns(robot, len(said["q01"]))
    settings: LingBotSettings = as_struct(said, LingBotSettings)
    _require_poses(robot, len(settings.channels))
    return settings


def stride_of(robot: Robot) -> int:
    """Return how many rows lie between two pictures of the model."""
    return settings_of(robot).commands_per_look


def _of_columns(robot: Robot, count: int) -> dict[str, object]:
    """Spread the columns' quantiles over all channels; those that the robot lacks have 0 and 0."""
    low, high = [0.0] * count, [0.0] * count
    for one in robot.columns:
        if not 0 <= one.channel < count:
            raise BadInput(f"column {one.column}: channel {one.channel} is not in 0..{count - 1}")
        low[one.channel], high[one.channel] = one.q01, one.q99
    return {"channels": [one.channel for one in robot.columns], "q01": low, "q99": high}


def _require_poses(robot: Robot, count: int) -> None:
    used = [column for pose in robot.relative for column in (*pose.position, *pose.rotation)]
    if bad := [column for column in used if not 0 <= column < count]:
        raise BadInput(f"relative names column {bad[0]}, and the robot has columns 0..{count - 1}")
    if len(set(used)) < len(used):
        raise BadInput("relative names a column twice")
