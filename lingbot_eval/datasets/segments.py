"""Which pictures of a segment the model sees, and how many latent frames they make; no torch here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lingbot_eval.datasets.lerobot import LeRobot, Recorded, Segment
from lingbot_eval.settings.lingbot_va import IMAGES_PER_FRAME

LEAST = 2
"""A segment of fewer latent frames has no command: those of the first are zeros."""


def frame_ids(segment: Segment, stride: int, tail: Literal["cut", "hold"]) -> list[int]:
    """Return the rows, counted in the episode, whose pictures are encoded: 1 + 4 n of them, ``stride`` apart, from the
    segment's first on. With ``hold`` the last ones may lie behind its end, and no frame is begun for the last row
    alone, whose picture the frame before it shows."""
    rows = segment.end_frame - segment.start_frame
    whole, begun = (-(-rows // stride) - 1) // IMAGES_PER_FRAME, -(-(rows - 1) // (IMAGES_PER_FRAME * stride))
    groups = begun if tail == "hold" else whole
    return [segment.start_frame + stride * picture for picture in range(IMAGES_PER_FRAME * groups + 1)]


def latent_frames(ids: Sequence[int]) -> int:
    """Return how many latent frames the pictures make, as the original counts them."""
    return (len(ids) - 1) // IMAGES_PER_FRAME + 1


def latent_file(dataset: LeRobot, episode: Recorded, segment: Segment, camera: str) -> Path:
    """Return where the latents of a segment and camera (the dataset's key) lie, as the original looks for them."""
    folder = dataset.folder / "latents" / f"chunk-{dataset.chunk(episode):03d}" / camera
    return folder / f"episode_{episode.index:06d}_{segment.start_frame}_{segment.end_frame}.pth"


def in_bounds(episode: Recorded, segment: Segment) -> bool:
    return 0 <= segment.start_frame < segment.end_frame <= episode.length
