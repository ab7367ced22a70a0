"""Every benchmark's settings have these. Each benchmark adds its own: ``settings/<benchmark>.py``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Literal

import msgspec

from lingbot_eval.settings.structs import Count, to_dict

Setting = Literal["easy", "hard"]
Split = Literal["seen", "unseen"]
"""An instruction is drawn from one of these sets of a task's sentences."""


class Protocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="benchmark"):
    """A protocol is one way in which a benchmark's numbers are made. A benchmark's own protocol derives from this, with
    the benchmark's name as its tag; ``conf/protocol/<benchmark>/*.yaml`` are the presets, with the source of each
    value."""

    name: str
    seed: int
    """The default base seed, which ``--seed`` replaces."""
    seed_block: int
    """The episode seeds of neighbouring base seeds differ by so much."""
    episodes_per_task: Count
    """How many episodes a task has, in each setting where the benchmark has settings."""


class SceneProtocol(Protocol, frozen=True, forbid_unknown_fields=True):
    """Under such a protocol an episode's scene is one that the task's own scripted expert solves: seeds are tried
    upwards from the first, and the others are left out (``suites/manifest.py``)."""

    seed_block: Count
    """The first scene tried has seed ``seed_block * (1 + base seed)``."""
    instructions: Mapping[Setting, Split]
    """Which of the task's sentences are drawn from, by setting."""


class SimulatorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="simulator"):
    """These settings say where and how a benchmark's simulator runs on this machine. A benchmark's own settings derive
    from this, with the benchmark's name as their tag."""

    python: str | None
    """The interpreter of the simulator's process; None: this one."""


class EnvSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """These are the settings of one environment process: one task of one suite under one protocol.
    ``suites.env_settings`` reads them from plain data."""

    simulator: SimulatorSettings
    protocol: Protocol
    suite: str
    task: str
    commands_per_action: Count
    cameras: bool
    """False: observations hold no pictures, and none is rendered."""
    render: bool
    """True: ``render()`` gives a picture for a person, whatever the observations hold."""


class SuiteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    suites: tuple[str, ...]
    tasks: tuple[str | int, ...]
    """Indices or names of tasks; empty: all."""
    settings: tuple[Setting, ...]
    """The settings that are played, where the benchmark has them; else empty."""
    episodes: Count | None
    """Episodes of each task; None: the protocol's own number."""
    seed: int | None
    """The base seed; None: the protocol's own."""
    manifest: str | None
    """The folder that keeps the scenes, for benchmarks whose scenes an expert solves first. None: one in ``manifests/``
    for this machine's simulator."""


def protocol_hash(protocol: msgspec.Struct, facts: Mapping[str, str]) -> str:
    """Return 12 hex digits over the preset and the score-moving ``facts`` of this machine (versions, assets)."""
    content = {"preset": to_dict(protocol), "facts": dict(facts)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
