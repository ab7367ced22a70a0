"""Looks of a dataset at the model's size, in files that are read where they lie: for a VAE, which sees them often."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lingbot_eval.datasets.commands import commands, state_at
from lingbot_eval.datasets.encoding import ids_of, video_of
from lingbot_eval.datasets.items import Place
from lingbot_eval.datasets.lerobot import datasets_in
from lingbot_eval.datasets.robots import settings_of
from lingbot_eval.datasets.segments import LEAST, in_bounds, latent_frames
from lingbot_eval.files import folder_whole
from lingbot_eval.models.lingbot_va.vision import Vision
from lingbot_eval.settings.robot import Robot
from lingbot_eval.training.order import held_out

STREAMS = ("main", "wrist")
"""Vision has the head's pictures in the one and both wrists' in the other."""

PER_FRAME = 4
"""Looks of a latent frame, with a command between two of them."""

INDEX = "episodes.json"


@dataclass(frozen=True)
class Shown:
    """One episode's place in the files."""

    task: str
    setting: str
    """easy or hard: the folder of its dataset."""
    first: int
    count: int
    """It has 1 + 4 n looks."""
    kept: bool
    """It is held out: looked at, and never trained on."""


@dataclass(frozen=True)
class Looks:
    """``pictures``: by stream (looks, cameras, 3, h, w) uint8. ``commands``: (looks, D) what is told after each look,
    poses relative to the episode's first."""

    episodes: tuple[Shown, ...]
    pictures: dict[str, npt.NDArray[np.uint8]]
    commands: npt.NDArray[np.float32]

    def pixels(self, stream: str, first: int, count: int) -> Tensor:
        """Return (cameras, 3, count, h, w) in [-1, 1]."""
        rows = torch.from_numpy(np.array(self.pictures[stream][first : first + count]))
        return rows.float().permute(1, 2, 0, 3, 4) / 255 * 2 - 1

    def images(self, episode: Shown, cameras: Sequence[str]) -> dict[str, npt.NDArray[np.uint8]]:
        """Return an episode's pictures by camera, (T, h, w, 3), as Vision takes them."""
        rows = slice(episode.first, episode.first + episode.count)
        streams = [self.pictures[stream][rows] for stream in STREAMS]
        views = [stream[:, n] for stream in streams for n in range(stream.shape[1])]
        return {name: np.moveaxis(view, 1, -1) for name, view in zip(cameras, views, strict=True)}


def open_looks(folder: Path) -> Looks:
    episodes = tuple(Shown(**one) for one in json.loads((folder / INDEX).read_text()))
    pictures = {stream: np.load(folder / f"{stream}.npy", mmap_mode="r") for stream in STREAMS}
    return Looks(episodes, pictures, np.load(folder / "commands.npy"))


def write_looks(
    folder: Path, data: Path, robot: Robot, vision: Vision, most: int, share: float, tell: Callable[[str], None]
) -> None:
    """Read the videos of at most ``most`` segments, spread evenly over all in ``data``, of which a ``share`` is held
    out; ``folder`` appears whole.

    Raises NotReady and BadInput for a dataset that cannot be read or does not fit the robot.
    """
    places = _spread(list(_places(data, robot)), most)
    names = [(_task(place), place.episode.index) for place in places]
    kept = held_out(names, share, seed=0)
    counts = [len(ids_of(place, robot)) for place in places]
    shown = [
        Shown(name[0], place.dataset.folder.name, sum(counts[:n]), counts[n], name in kept)
        for n, (place, name) in enumerate(zip(places, names, strict=True))
    ]
    with folder_whole(folder) as part:
        written: dict[str, Any] = {}
        for n, (place, one) in enumerate(zip(places, shown, strict=True)):
            for name, rows in _read(place, robot, vision).items():
                if name not in written:
                    kind = {"mode": "w+", "dtype": rows.dtype, "shape": (sum(counts), *rows.shape[1:])}
                    written[name] = np.lib.format.open_memmap(part / f"{name}.npy", **kind)
                written[name][one.first : one.first + one.count] = rows
            if (n + 1) % 100 == 0:
                tell(f"looks of {n + 1} of {len(places)} episodes")
        for array in written.values():
            array.flush()
        (part / INDEX).write_text(json.dumps([asdict(one) for one in shown]))


def _places(data: Path, robot: Robot) -> Iterator[Place]:
    for dataset in datasets_in(data):
        for episode in dataset.episodes:
            for segment in episode.segments:
                place = Place(dataset, episode, segment)
                if in_bounds(episode, segment) and latent_frames(ids_of(place, robot)) >= LEAST:
                    yield place


def _spread(places: list[Place], most: int) -> list[Place]:
    if len(places) <= most:
        return places
    return [places[n * len(places) // most] for n in range(most)]


def _task(place: Place) -> str:
    return f"{place.episode.task or place.segment.action_text}, {place.dataset.folder.name}"


def _read(place: Place, robot: Robot, vision: Vision) -> dict[str, npt.NDArray[Any]]:
    pixels = vision.pixels(video_of(place, robot, settings_of(robot)))
    found: dict[str, npt.NDArray[Any]] = {
        stream: ((one + 1) * 127.5).round().byte().permute(2, 0, 1, 3, 4).numpy() for stream, one in pixels.items()
    }
    looks = len(found[STREAMS[0]])
    state = state_at(place.dataset, place.episode, place.segment.start_frame, robot)
    rows = place.dataset.rows(place.episode)[place.segment.start_frame : place.segment.end_frame]
    told = commands(rows, robot, place.dataset.names(), state).astype(np.float32)
    held = np.repeat(told[-1:], max(0, looks - len(told)), axis=0)
    return {**found, "commands": np.concatenate([told, held])[:looks]}
