"""From a segment's rows to what the model is trained to do: the thirty shared channels, normalised.

Source: Robbyant/lingbot-va @ 7c6ffa9, wan_va/dataset/lerobot_latent_dataset.py (_action_post_process), of which these
are the same numbers bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lingbot_eval.datasets.lerobot import LeRobot, Recorded, Rows, selected
from lingbot_eval.envs.robotwin.poses import product, unit
from lingbot_eval.errors import BadInput
from lingbot_eval.settings.lingbot_va import IMAGES_PER_FRAME, LingBotSettings
from lingbot_eval.settings.robot import RelativePose, Robot

Commands = npt.NDArray[np.float64]
"""(n, D): command columns in the robot's units."""

CLIPPED = 1.5
"""No normalised command is farther from 0."""

EPSILON = 1e-6
"""Added to every range, as at play (``models/lingbot_va/normalisation.py``)."""


def commands(rows: Rows, robot: Robot, names: Sequence[str], state: Rows | None = None) -> Commands:
    """Return the command columns (n, D) of a segment's rows, from its first picture on; poses are made relative.

    ``names``: those of the rows' columns. ``state``: (1, D) the observation at the first picture, for a robot whose
    poses are relative to it. Raises BadInput for columns that there are not, and BadAction for a quaternion of length
    zero.
    """
    rows = chosen(rows, robot, names)
    found = rows.astype(np.float64)
    for pose in robot.relative:
        origin = rows[:1] if pose.origin == "command" else chosen(_required(state), robot, names)
        count, last = min(rows.shape[1], origin.shape[1]), max(*pose.position, *pose.rotation)
        if last >= count:
            raise BadInput(f"a pose is said to be in columns up to {last}, and the dataset has {count}")
        _make_relative(found, rows, pose, origin)
    return found


def chosen(rows: Rows, robot: Robot, names: Sequence[str]) -> Rows:
    """Return the robot's command columns of (n, D) rows. Raises BadInput for one that there is not."""
    if not robot.columns:
        return rows
    numbers = [selected(names, one.column) for one in robot.columns]
    if max(numbers) >= rows.shape[1]:
        raise BadInput(f"column {max(numbers)} is none of the {rows.shape[1]} of observation.state")
    return rows[:, numbers]


def state_at(dataset: LeRobot, episode: Recorded, row: int, robot: Robot) -> Rows | None:
    """Return (1, D) of ``observation.state`` at a row, where the robot's poses are relative to it.

    Raises BadInput and NotReady as :meth:`LeRobot.rows`.
    """
    if all(pose.origin == "command" for pose in robot.relative):
        return None
    state = dataset.rows(episode, "observation.state")[row : row + 1]
    if not np.isfinite(state).all():
        raise BadInput(f"observation.state has what is no number, in row {row} of episode {episode.index}")
    return state


def _required(state: Rows | None) -> Rows:
    if state is None or not len(state):
        raise BadInput("poses are relative to the state (origin), and there is no observation.state")
    return state


def _make_relative(found: Commands, rows: Rows, pose: RelativePose, origin: Rows) -> None:
    """Positions are subtracted in the rows' own float32, and rotations multiplied in float64: origin^-1 * rotation."""
    position, rotation = list(pose.position), list(pose.rotation)
    found[:, position] = rows[:, position] - origin[:, position]
    first = unit(origin[:, rotation].astype(np.float64)) * (-1, -1, -1, 1)
    found[:, rotation] = unit(product(first, unit(found[:, rotation])))


def normalised(found: Commands, settings: LingBotSettings, frames: int, stride: int) -> npt.NDArray[np.float32]:
    """(n, D) -> (channels, frames, 4 * stride, 1): each latent frame has the commands before its last picture; those
    before the first are raw zeros.

    Raises BadInput for too few rows, or another number of columns than the settings have channels.
    """
    if found.shape[1] != len(settings.channels):
        raise BadInput(f"the dataset has {found.shape[1]} command columns, the robot {len(settings.channels)} channels")
    per_frame = IMAGES_PER_FRAME * stride
    wanted = (frames - 1) * per_frame
    if len(found) < wanted:
        raise BadInput(f"{frames} latent frames need {wanted} rows, and there are {len(found)}")
    full = np.zeros((frames * per_frame, len(settings.q01)))
    full[per_frame:, list(settings.channels)] = found[:wanted]
    low, high = np.array(settings.q01), np.array(settings.q99)
    scaled = np.clip((full - low) / (high - low + EPSILON) * 2 - 1, -CLIPPED, CLIPPED) * used(settings)
    by_channel: npt.NDArray[np.float32] = (
        scaled.reshape(frames, per_frame, -1).transpose(2, 0, 1)[..., None].astype(np.float32)
    )
    return by_channel


def used(settings: LingBotSettings) -> npt.NDArray[np.bool_]:
    """Return (channels,): which of them the robot has."""
    mask = np.zeros(len(settings.q01), bool)
    mask[list(settings.channels)] = True
    return mask
