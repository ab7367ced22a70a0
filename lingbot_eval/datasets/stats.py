"""Quantiles of a robot's commands, over all segments of its datasets; no torch here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import yaml

from lingbot_eval.datasets.commands import Commands, commands, state_at
from lingbot_eval.datasets.lerobot import LeRobot, Recorded, Segment, datasets_in
from lingbot_eval.datasets.robots import settings_of
from lingbot_eval.datasets.segments import in_bounds
from lingbot_eval.errors import BadAction, BadInput
from lingbot_eval.settings import to_dict
from lingbot_eval.settings.robot import Robot, RobotColumn

QUANTILES = (0.01, 0.99)

DIGITS = 6
"""Quantiles are said with so many digits behind the point."""


def commands_in(datasets: Sequence[LeRobot], robot: Robot) -> Iterator[tuple[LeRobot, Recorded, Segment, Commands]]:
    """Return each segment that lies within its episode, with its commands (n, D) as training has them, not normalised.

    Raises BadInput for rows that do not fit the robot.
    """
    for dataset in datasets:
        for episode in dataset.episodes:
            rows = dataset.rows(episode)
            for segment in filter(lambda one: in_bounds(episode, one), episode.segments):
                try:
                    state = state_at(dataset, episode, segment.start_frame, robot)
                    found = commands(rows[segment.start_frame : segment.end_frame], robot, dataset.names(), state)
                except (BadAction, BadInput) as error:
                    raise BadInput(f"{dataset.folder}, episode {episode.index}: {error}") from None
                yield dataset, episode, segment, found


def with_quantiles(folder: Path, robot: Robot, spread: float, name: str) -> Robot:
    """Return the robot, called ``name``, with the quantiles of the datasets in ``folder``.

    Raises NotReady and BadInput.
    """
    found = [rows for *_, rows in commands_in(datasets_in(folder), robot)]
    if not found:
        raise BadInput(f"{folder} has no segment with rows")
    together = np.concatenate(found)
    if not np.isfinite(together).all():
        raise BadInput(f"{folder} has commands that are no numbers; lingbot-eval dataset check {folder} says which")
    channels = settings_of(robot).channels
    if together.shape[1] != len(channels):
        raise BadInput(f"the dataset has {together.shape[1]} command columns, the robot {len(channels)} channels")
    low, high = quantiles(together, spread)
    before = robot.columns or tuple(RobotColumn(n, channel, 0.0, 0.0) for n, channel in enumerate(channels))
    columns = tuple(
        msgspec.structs.replace(column, q01=round(float(a), DIGITS), q99=round(float(b), DIGITS))
        for column, a, b in zip(before, low, high, strict=True)
    )
    settings = {key: value for key, value in robot.settings.items() if key not in ("channels", "q01", "q99")}
    return msgspec.structs.replace(robot, name=name, columns=columns, settings=settings)


def quantiles(rows: Commands, spread: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return q01 and q99 of each column of (n, D), moved apart evenly where they are less than ``spread`` apart."""
    low, high = np.quantile(rows, QUANTILES, axis=0)
    wider = np.maximum(0, spread - (high - low)) / 2
    return low - wider, high + wider


def as_yaml(robot: Robot) -> str:
    """Return a file that ``--robot`` takes."""
    text: str = yaml.safe_dump(to_dict(robot), sort_keys=False, default_flow_style=None, width=120)
    return text
