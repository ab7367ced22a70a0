"""LIBERO's settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from lingbot_eval.errors import BadInput
from lingbot_eval.settings.structs import Count
from lingbot_eval.settings.suite import Protocol, SimulatorSettings

COMMIT = re.compile("[0-9a-f]{40}")
"""A commit of a repository on the hub; a branch's name may mean other files tomorrow."""


class LiberoProtocol(Protocol, frozen=True, forbid_unknown_fields=True, tag="libero"):
    """One way in which LIBERO numbers are made; ``conf/protocol/libero/*.yaml`` gives each value's source."""

    warmup_command: Annotated[tuple[float, ...], msgspec.Meta(min_length=7, max_length=7)]
    """Sent after the initial state is restored, before the first frame that the agent sees."""
    warmup_count: Annotated[int, msgspec.Meta(ge=0)]
    render_size: Count
    """Pixels, square."""
    resize: Count | None
    """Pixels, square, bilinear; None leaves the rendered picture."""
    flip: Literal["none", "vertical", "rotate180"]
    """Applied to the picture as LIBERO returns it, whose row 0 is the bottom of the scene."""
    state_quaternion: Literal["raw", "canonical"]
    """Sign of the end-effector quaternion before it becomes an axis-angle; canonical: w >= 0."""
    gripper: Literal["raw", "binary"]
    """binary: a gripper command below 0 becomes -1 (open), any other +1 (close)."""
    command_limit: Mapping[str, Count]
    """By suite; warm-up not counted."""
    reset: Literal["hard", "soft"]
    """hard: robosuite loads the model anew at every reset."""
    environment: Literal["per-episode", "per-task", "per-task-after-reset"]
    """How many hard resets the environment has behind it when episode k resets: 0, k, or k + 1. It matters to the four
    tasks whose initial conditions open or turn on something (``envs/libero/seeding.py``)."""
    seeding: Literal["per-episode", "per-task", "drawn"]
    """per-episode: numpy's global generator is seeded before every reset. per-task: it is seeded once, and episode k
    gets the state it has at the k-th reset. drawn: upstream never seeds; the plan draws one seed per episode."""
    seed_block: int
    """per-episode: episode k of every task has seed ``base * seed_block + k``."""
    initial_states: Literal["index", "modulo"]
    """Stored state of episode k: k itself (more episodes than states are refused), or k modulo their number."""
    prompt: Literal["file-name", "bddl"]
    """Where the instruction comes from; the two differ in wording."""


class LiberoSettings(SimulatorSettings, frozen=True, forbid_unknown_fields=True, tag="libero"):
    """LIBERO on this machine; nothing here moves a score."""

    assets: str | None
    download: bool | str | None
    """A commit: fetch assets that are nowhere here, as that commit of the hub's data set has them. False or None: fetch
    nothing. There is no True."""
    gl: Literal["auto", "egl", "osmesa"]

    def __post_init__(self) -> None:
        if self.download and not (isinstance(self.download, str) and COMMIT.fullmatch(self.download)):
            given = "true" if self.download is True else self.download
            raise BadInput(
                f"env.download={given}: a commit of the hub is 40 of 0-9, a-f, not {given!r} (valid: a commit, which "
                "https://huggingface.co/datasets/lerobot/libero-assets/commits/main lists; false: nothing is fetched)"
            )
