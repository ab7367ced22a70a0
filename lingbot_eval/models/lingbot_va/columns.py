"""What the shared action channels mean to a preset's robot, for people: names, units, groups (``columns.yaml``)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import msgspec
import yaml

from lingbot_eval.settings import as_struct


@dataclass(frozen=True)
class Column:
    """Describes one channel of a robot's commands."""

    name: str
    unit: str
    group: str
    """The channels that have this unit too and are read together with it."""


class _Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    channels: tuple[int, ...]
    names: tuple[str, ...]
    unit: str
    group: str


class _Robot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    commands_per_second: float | None
    groups: tuple[_Group, ...]


@functools.cache
def _robots() -> dict[str, _Robot]:
    text = (resources.files("lingbot_eval") / "models" / "lingbot_va" / "columns.yaml").read_text()
    robots: dict[str, _Robot] = as_struct(yaml.safe_load(text), dict[str, _Robot])
    return robots


def presets() -> list[str]:
    """The presets, as the file has them: the default first."""
    return list(_robots())


def known_columns(preset: str) -> dict[int, Column]:
    """Every channel that a preset's robot has."""
    return {
        channel: Column(name, group.unit, group.group)
        for group in _robots()[preset].groups
        for channel, name in zip(group.channels, group.names, strict=True)
    }


def columns(preset: str, channels: Sequence[int]) -> list[Column]:
    """The command columns of these channels; one that the preset's robot lacks is called by its number."""
    known = known_columns(preset)
    return [known.get(channel, Column(f"channel{channel}", "robot units", "other channels")) for channel in channels]


def commands_per_second(preset: str) -> float | None:
    """The rate of the preset's robot, where it is fixed and known."""
    return _robots()[preset].commands_per_second
