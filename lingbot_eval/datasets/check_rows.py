"""What can be wrong with a dataset's rows and segments; no torch here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lingbot_eval.datasets.commands import chosen, commands, state_at
from lingbot_eval.datasets.findings import Findings
from lingbot_eval.datasets.lerobot import LeRobot, Recorded, Rows
from lingbot_eval.datasets.robots import settings_of
from lingbot_eval.datasets.segments import LEAST, frame_ids, in_bounds, latent_frames
from lingbot_eval.errors import BadAction, BadInput, NotReady
from lingbot_eval.settings.robot import Robot

OUTSIDE = 0.05
"""So large a share of commands may lie outside of q01..q99; 2 % do by their definition."""

MARGIN = 0.05
"""What lies outside by less than this share of their distance is not counted: few rows have rough quantiles."""

NARROW = 1e-4
"""Quantiles that are no farther apart blow up whatever noise a column has."""

UNIT = 1e-2
"""A quaternion's length may be so far from 1."""

SAME_SIGN = 1e-3
"""A component that is never below minus this has one sign."""

NEAR = 0.2
"""A component that is so near to 0, or to 1, is about to pass it, or stays there."""

TIME = 1e-3
"""Two rows' timestamps may differ by so many seconds from what fps says."""


def check_dataset(dataset: LeRobot, robot: Robot, found: Findings) -> None:
    """Look at the rows of a dataset, and at the segments that its episodes are said to have."""
    if robot.fps is not None and robot.fps != dataset.fps:
        found.wrong(f"{dataset.folder}: {dataset.fps:g} rows per second, and the robot {robot.name} has {robot.fps:g}")
    if not dataset.episodes:
        found.wrong(f"{dataset.folder} has no episode")
    kept = [rows for episode in dataset.episodes if (rows := _rows(dataset, episode, robot, found)) is not None]
    for episode in dataset.episodes:
        _check_segments(dataset, episode, robot, found)
    if kept:
        _check_columns(dataset, np.concatenate(kept), found)


def _rows(dataset: LeRobot, episode: Recorded, robot: Robot, found: Findings) -> Rows | None:
    """Return an episode's rows; None where they cannot be looked at any further."""
    where = f"episode {episode.index}"
    try:
        rows = dataset.rows(episode)
        _check_times(dataset, episode, found)
    except (BadInput, NotReady) as error:
        found.wrong(str(error))
        return None
    if len(rows) != episode.length:
        found.wrong(f"{dataset.folder}: meta says another number of rows than the file has", where)
    if not np.isfinite(rows).all():
        bad = ", ".join(dataset.names()[n] for n in np.flatnonzero(~np.isfinite(rows).all(axis=0)))
        found.wrong(f"{dataset.folder}: the action has what is no number, in {bad}", where)
        return None
    return rows


def _check_times(dataset: LeRobot, episode: Recorded, found: Findings) -> None:
    if "timestamp" not in dataset.features:
        return
    times = dataset.rows(episode, "timestamp")[:, 0].astype(np.float64)
    steps = np.diff(times)
    if len(steps) and np.abs(steps - 1 / dataset.fps).max() > TIME:
        rate = 1 / max(1e-9, float(np.median(steps)))
        words = f"timestamps say {rate:.3g} rows per second, or leave some out, and fps is {dataset.fps:g}"
        found.wrong(f"{dataset.folder}: {words}", f"episode {episode.index}")


def _check_columns(dataset: LeRobot, rows: Rows, found: Findings) -> None:
    for column in np.flatnonzero(np.ptp(rows, axis=0) == 0):
        found.note(f"{dataset.folder}: column {dataset.names()[column]} is always {rows[0, column]:g}")


def _check_segments(dataset: LeRobot, episode: Recorded, robot: Robot, found: Findings) -> None:
    folder, stride, end = dataset.folder, settings_of(robot).commands_per_look, 0
    for segment in sorted(episode.segments, key=lambda one: one.start_frame):
        where = f"episode {episode.index}, rows {segment.start_frame}..{segment.end_frame}"
        if not in_bounds(episode, segment):
            found.wrong(f"{folder}: a segment lies outside of its episode", f"{where} of {episode.length}")
            continue
        if segment.start_frame < end:
            found.wrong(f"{folder}: two segments of an episode overlap", where)
        end = max(end, segment.end_frame)
        if latent_frames(frame_ids(segment, stride, robot.tail)) < LEAST:
            found.wrong(f"{folder}: a segment is too short for two latent frames: nothing is learnt from it", where)
        if not segment.action_text.strip():
            found.wrong(f"{folder}: a segment has no text", where)


def check_commands(datasets: Sequence[LeRobot], robot: Robot, found: Findings) -> None:
    """Look at the commands of all datasets together: quantiles, and the quaternions of poses."""
    whole, apart = [], []
    for dataset in datasets:
        for episode in dataset.episodes:
            try:
                rows = dataset.rows(episode)
                if len(rows) == 0 or not np.isfinite(rows).all():
                    continue
                apart.append(chosen(rows, robot, dataset.names()))
                for one in episode.segments:
                    if in_bounds(episode, one):
                        state = state_at(dataset, episode, one.start_frame, robot)
                        whole.append(commands(rows[one.start_frame : one.end_frame], robot, dataset.names(), state))
            except (BadInput, NotReady, BadAction) as error:
                found.wrong(f"{dataset.folder}: the rows do not fit the robot {robot.name}: {error}")
                return
    if not whole:
        return
    _check_quantiles(np.concatenate(whole), robot, found)
    for pose in robot.relative:
        quaternions = [rows[:, list(pose.rotation)] for rows in apart]
        _check_quaternions(quaternions, pose.quaternion, f"columns {pose.rotation[0]}..{pose.rotation[-1]}", found)


def _check_quantiles(rows: npt.NDArray[np.float64], robot: Robot, found: Findings) -> None:
    settings = settings_of(robot)
    if rows.shape[1] != len(settings.channels):
        found.wrong(f"the action has {rows.shape[1]} columns, and the robot {robot.name} {len(settings.channels)}")
        return
    make = "lingbot-eval dataset stats makes quantiles"
    for column, channel in enumerate(settings.channels):
        low, high = settings.q01[channel], settings.q99[channel]
        if high - low < NARROW:
            found.wrong(f"column {column} (channel {channel}): q01 {low:g} and q99 {high:g} are not apart; {make}")
            continue
        values, margin = rows[:, column], MARGIN * (high - low)
        share = float(np.mean((values < low - margin) | (values > high + margin)))
        if share > OUTSIDE:
            span = f"{values.min():.3g}..{values.max():.3g}"
            found.wrong(
                f"column {column} (channel {channel}): {share:.0%} of the commands are well outside of q01..q99, "
                f"{low:.3g}..{high:.3g} (they are {span}); {make}"
            )


def _check_quaternions(episodes: Sequence[Rows], said: str, where: str, found: Findings) -> None:
    rows = np.concatenate(episodes)
    lengths = np.linalg.norm(rows, axis=1)
    if (np.abs(lengths - 1) > UNIT).any():
        worst = lengths[np.abs(lengths - 1).argmax()]
        found.wrong(f"{where} are no quaternions: one has length {worst:.3g}; are these the right columns?")
        return
    flips = [_flips(one) for one in episodes]
    if count := sum(len(one) for one in flips):
        found.wrong(f"{where}: a quaternion changes its sign from one row to the next {count} times")
    order, sure = likely_order(rows, np.concatenate(flips))
    if order and order != said:
        words = f"{where}: the quaternions {'are' if sure else 'may be'} {order}, and the robot says {said}"
        (found.wrong if sure else found.note)(f"{words}; it is the scalar that {_SHOWN[sure]}")


_SHOWN = {True: "passes 0 where signs change", False: "is never negative, or near 1"}


def _flips(rows: Rows) -> Rows:
    """Return (n, 4): the quaternions before which the sign changed."""
    changed: Rows = rows[1:][np.einsum("ij,ij->i", rows[1:], rows[:-1]) < 0]
    return changed


def likely_order(rows: Rows, flips: Rows) -> tuple[str, bool]:
    """Return ``xyzw`` or ``wxyz``, or nothing where (n, 4) unit quaternions do not tell; and whether that is sure.

    In either order they are equally long and equally smooth. What tells is the convention that the scalar is not
    negative: then the sign of all four changes just where the scalar passes 0. Without such a place it is likely that
    the end which is never negative is the scalar, or the one that is near 1; but a hand that points down has (1, 0, 0,
    0) in the other order.
    """
    first, last = (bool(rows[:, end].min() > -SAME_SIGN and rows[:, end].max() > NEAR) for end in (0, 3))
    if len(flips):
        near = np.abs(flips[:, [0, 3]]).max(axis=0) < NEAR
        first, last = first and bool(near[0]), last and bool(near[1])
        return (("wxyz" if first else "xyzw"), True) if first != last else ("", False)
    if first == last:
        scalar = np.abs(rows[:, [0, 3]]).mean(axis=0)
        first, last = (bool(mean > 1 - NEAR) for mean in scalar)
    return (("wxyz" if first else "xyzw"), False) if first != last else ("", False)
