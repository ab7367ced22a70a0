"""A robot, as post-training reads its datasets: what ``conf/robot/*.yaml`` says, or a file of your own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec


class RobotColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Says which column of a dataset's ``action`` is one command column, and where it goes."""

    column: int | str
    """Its number, or its name in ``meta/info.json``."""
    channel: int
    """The shared channel of the model, 0..29: left pose 0-6, right pose 7-13, left joints 14-20, right joints 21-27,
    grippers 28 and 29."""
    q01: float
    """In the dataset's unit, after poses were made relative; -1 stands for it."""
    q99: float
    """As ``q01``; +1 stands for it."""


class RelativePose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names the seven command columns, counted from 0, of a pose that is made relative."""

    position: tuple[int, int, int]
    rotation: tuple[int, int, int, int]
    """These are multiplied with the scalar last, whatever they are, as the original does it
    (docs/pitfalls.md says why that comes out right)."""
    quaternion: Literal["xyzw", "wxyz"]
    """The order that the dataset has its numbers in."""
    origin: Literal["command", "state"] = "command"
    """What the pose is relative to, at the segment's first picture. command: the command given there, as the original
    does it. state: where the hand was, by the same columns of ``observation.state``, as at play; where commands are far
    apart, this is another thing."""


class Robot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Says what a robot's dataset means to the model; a new robot is a new file, and no code."""

    name: str
    preset: str
    """Of ``conf/agent/lingbot-va``: what is not said below is as there (cameras, sizes, channels, quantiles)."""
    settings: Mapping[str, Any] = {}
    """Fields of LingBotSettings that are others than the preset's."""
    columns: tuple[RobotColumn, ...] = ()
    """The command columns, in order. None: the dataset's columns in their order, with the settings' channels and
    quantiles."""
    relative: tuple[RelativePose, ...] = ()
    fps: float | None = None
    """A dataset of this robot has so many rows per second; None: any number."""
    tail: Literal["cut", "hold"] = "cut"
    """What becomes of a segment's end that fills no latent frame. cut: it is left out, as the original does. hold: its
    last picture and command are repeated until it does, but for the last row alone; for absolute commands only, and no
    longer the original's."""
