"""These are LIBERO's settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from lingbot_eval.errors import BadInput
from lingbot_eval.settings.structs import Count
from lingbot_eval.settings.suite import Protocol, SimulatorSettings

COMMIT = re.compile("[0-9a-f]{40}")
"""Only a commit of a repository on the hub will do: a branch's name may mean other files tomorrow."""


class LiberoProtocol(Protocol, frozen=True, forbid_unknown_fields=True, tag="libero"):
    """A protocol is one way in which LIBERO numbers are made; ``conf/protocol/libero/*.yaml`` gives each value's
    source."""

    warmup_command: Annotated[tuple[float, ...], msgspec.Meta(min_length=7, max_length=7)]
    """This command is sent after the initial state is restored, before the first frame that the agent sees."""
    warmup_count: Annotated[int, msgspec.Meta(ge=0)]
    render_size: Count
    """Pixels along an edge of a rendered picture, which is square."""
    resize: Count | None
    """Pixels along an edge of the square picture that the agent gets (bilinear); None leaves the rendered picture."""
    flip: Literal["none", "vertical", "rotate180"]
    """How the picture is turned that LIBERO returns, whose row 0 is the bottom of the scene."""
    state_quaternion: Literal["raw", "canonical"]
    """The sign of the end-effector quaternion before it becomes an axis-angle; canonical: w >= 0."""
    gripper: Literal["raw", "binary"]
    """binary: a gripper command below 0 becomes -1 (open), any other +1 (close)."""
    command_limit: Mapping[str, Count]
    """The most commands of an episode, by suite; the warm-up is not counted."""
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
    initial_states: Literal["index", "modulo", "sampled"]
    """The stored state of episode k is k itself (more episodes than states are refused), or k modulo their number.
    sampled: none; LIBERO places the objects anew, as its seed has it, in the regions where the stored ones were."""
    prompt: Literal["file-name", "bddl"]
    """Where the instruction comes from; the two differ in wording."""


class LiberoSettings(SimulatorSettings, frozen=True, forbid_unknown_fields=True, tag="libero"):
    """These settings say where LIBERO lies and how it runs on this machine; none of them moves a score."""

    assets: str | None
    download: bool | str | None
    """A commit of the hub's data set: assets that are nowhere here are fetched as that commit has them. With False or
    None nothing is fetched. There is no True."""
    gl: Literal["auto", "egl", "osmesa"]

    def __post_init__(self) -> None:
        if self.download and not (isinstance(self.download, str) and COMMIT.fullmatch(self.download)):
            given = "true" if self.download is True else self.download
            raise BadInput(
                f"env.download={given}: a commit of the hub is 40 of 0-9, a-f, not {given!r} (valid: a commit, which "
                "https://huggingface.co/datasets/lerobot/libero-assets/commits/main lists; false: nothing is fetched)"
            )
