"""Encodes the videos of segments, in this process or as a worker: ``python -m lingbot_eval.datasets.encoding``, which
reads a :class:`Job` from its standard input and prints a line per batch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from lingbot_eval.datasets.items import Place
from lingbot_eval.datasets.latent_files import padded, write_tensors
from lingbot_eval.datasets.lerobot import LeRobot, datasets_in
from lingbot_eval.datasets.pictures import pictures
from lingbot_eval.datasets.robots import settings_of
from lingbot_eval.datasets.segments import frame_ids, latent_file, latent_frames
from lingbot_eval.datasets.wordings import read_texts
from lingbot_eval.errors import LingbotEvalError, NotReady
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.loading import load_vae
from lingbot_eval.models.lingbot_va.vision import PIECE, Vision
from lingbot_eval.processes import die_with_parent
from lingbot_eval.settings.lingbot_va import LingBotSettings
from lingbot_eval.settings.robot import Robot
from lingbot_eval.types import Image

PIXELS = 1 << 22
"""So many pixels go through the VAE at a time, where one video alone has not more."""

Where = tuple[int, int, int]
"""A segment: the number of its dataset, of its episode there and of itself in the episode, as they are listed."""


class Job(msgspec.Struct, frozen=True):
    """What a worker is to do."""

    folder: str
    robot: Robot
    checkpoint: str
    parts: str | None
    device: str
    dtype: str
    batches: list[list[Where]]
    """The segments of a batch have pictures of one number."""
    parent: int


class Batch(msgspec.Struct, frozen=True):
    """What a worker says: so many segments are done, or what went wrong."""

    done: int = 0
    error: str = ""


def ids_of(place: Place, robot: Robot) -> list[int]:
    """Return the rows whose pictures are encoded, by the robot's stride and tail."""
    return frame_ids(place.segment, settings_of(robot).commands_per_look, robot.tail)


def place_at(datasets: Sequence[LeRobot], where: Where) -> Place:
    dataset = datasets[where[0]]
    episode = dataset.episodes[where[1]]
    return Place(dataset, episode, episode.segments[where[2]])


def batch_size(settings: LingBotSettings) -> int:
    """Return how many videos are encoded together."""
    whole = settings.height * settings.width
    others = (len(settings.cameras) - 1) * (whole // 4 if settings.layout == "tshape" else whole)
    return max(1, PIXELS // (PIECE * (whole + others)))


def encode(job: Job, tell: Callable[[int], None]) -> None:
    """Write the latents of a job's segments; ``tell`` hears how many were done, after each batch.

    Raises NotReady, BadInput, BadCheckpoint and OSError.
    """
    datasets, settings = datasets_in(Path(job.folder)), settings_of(job.robot)
    device, dtype = torch.device(job.device), getattr(torch, job.dtype)
    vision = Vision(load_vae(locate(job.checkpoint, job.parts), dtype, device), settings, dtype, device)
    texts = {dataset.folder: read_texts(dataset.folder) for dataset in datasets}
    for batch in job.batches:
        places = [place_at(datasets, where) for where in batch]
        videos = [video_of(place, job.robot, settings) for place in places]
        for place, video, latents in zip(places, videos, vision.of_videos(videos), strict=True):
            text = texts[place.dataset.folder].get(place.segment.action_text)
            if text is None:
                raise NotReady(f"the text of {place.segment.action_text!r} was not encoded; give the command again")
            for name, camera in settings.cameras.items():
                content = _content(place, job.robot, latents[name], video[name], padded(text))
                write_tensors(latent_file(place.dataset, place.episode, place.segment, camera), content)
        tell(len(batch))


def video_of(place: Place, robot: Robot, settings: LingBotSettings) -> dict[str, Image]:
    """Return (T, H, W, 3) uint8 by our names of the cameras. What is held is the picture after the segment's last row,
    where the episode goes on.

    Raises NotReady and BadInput as :func:`pictures`.
    """
    last = min(place.segment.end_frame, place.episode.length - 1)
    rows = [min(row, last) for row in ids_of(place, robot)]
    found = {}
    for name, camera in settings.cameras.items():
        found[name] = pictures(place.dataset, place.episode, camera, rows)
    return found


def _content(place: Place, robot: Robot, latent: Tensor, video: Image, text: Tensor) -> dict[str, Any]:
    """Return a file of latents; ``latent`` is (48, F, h, w). Sizes of the video are those before it was resized."""
    ids, (frames, height, width) = ids_of(place, robot), latent.shape[1:]
    rate = place.dataset.fps
    return {
        "latent": latent.permute(1, 2, 3, 0).reshape(-1, len(latent)).bfloat16(),
        "latent_num_frames": frames,
        "latent_height": height,
        "latent_width": width,
        "video_num_frames": len(ids),
        "video_height": video.shape[1],
        "video_width": video.shape[2],
        "text_emb": text,
        "text": place.segment.action_text,
        "frame_ids": ids,
        "start_frame": place.segment.start_frame,
        "end_frame": place.segment.end_frame,
        "fps": _whole(rate / (ids[1] - ids[0])),
        "ori_fps": _whole(rate),
    }


def _whole(rate: float) -> int | float:
    return int(rate) if rate == int(rate) else rate


def batches_of(datasets: Sequence[LeRobot], wheres: Sequence[Where], robot: Robot) -> list[list[Where]]:
    """Put segments of equally many latent frames together, the longest first."""
    most = batch_size(settings_of(robot))
    lengths: dict[int, list[Where]] = {}
    for where in wheres:
        lengths.setdefault(latent_frames(ids_of(place_at(datasets, where), robot)), []).append(where)
    return [
        same[start : start + most]
        for _, same in sorted(lengths.items(), reverse=True)
        for start in range(0, len(same), most)
    ]


def main() -> int:
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    die_with_parent(job.parent)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))

    def tell(batch: Batch) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(batch) + b"\n")
        sys.stdout.buffer.flush()

    try:
        encode(job, lambda count: tell(Batch(done=count)))
    except (LingbotEvalError, OSError) as error:
        tell(Batch(error=str(error)))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
