"""What the model is trained on, one segment at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lingbot_eval.datasets.commands import commands, normalised, state_at, used
from lingbot_eval.datasets.latent_files import EMPTY, Latents, read_latents, read_tensors, real_tokens, together
from lingbot_eval.datasets.lerobot import LeRobot, Recorded, Rows, Segment, datasets_in
from lingbot_eval.datasets.made import read_made
from lingbot_eval.datasets.robots import settings_of
from lingbot_eval.datasets.segments import in_bounds, latent_file
from lingbot_eval.datasets.wordings import read_texts, read_words, texts_file, words_file
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.hashes import together_sha256
from lingbot_eval.settings import to_dict
from lingbot_eval.settings.lingbot_va import IMAGES_PER_FRAME
from lingbot_eval.settings.robot import Robot

REMEMBERED = 1 << 30
"""Items of so many bytes in all are kept in memory once they were read."""


@dataclass(frozen=True)
class Item:
    """One segment."""

    latents: Tensor
    """(48, F, h, w) normalised, all cameras in one picture, bfloat16."""
    actions: Tensor
    """(Da, F, A, 1) float32, normalised, clipped, 0 where the robot has no channel; those of the first latent frame
    are raw zeros, normalised."""
    mask: Tensor
    """(Da, F, A, 1) bool: the robot has the channel."""
    texts: tuple[Tensor, ...]
    """(n, text_dim) each, real tokens alone: the segment's own wording, then others of the same instruction."""
    given: int = 0
    """So many latent frames behind the first are not learnt: they led to where the work begins."""


@dataclass(frozen=True)
class Place:
    """Where an item comes from."""

    dataset: LeRobot
    episode: Recorded
    segment: Segment


class Items(Dataset[Item]):
    """The segments of one or more datasets whose latents are there, in the order of folders, episodes, segments."""

    def __init__(self, folder: Path, places: Sequence[Place], robot: Robot, empty: Tensor) -> None:
        self.folder, self.places, self.robot = folder, tuple(places), robot
        self.settings = settings_of(robot)
        """The model's: cameras, layout, channels, q01, q99, commands_per_frame and so on."""
        self.empty = empty
        """(n, text_dim): the text of ""."""
        self._cameras = list(self.settings.cameras.values())
        folders = {place.dataset.folder for place in self.places}
        self._words = {one: read_words(one) for one in folders}
        self._texts = {one: read_texts(one) for one in folders}
        self._own: dict[str, Tensor] = {}
        self._frames: dict[int, int] = {}
        self._known: dict[int, Item] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, n: int) -> Item:
        """Raises IndexError, and BadInput or NotReady for files that do not fit."""
        if n in self._known:
            return self._known[n]
        item = self._read(self.places[n])
        size = sum(part.nbytes for part in (item.latents, item.actions, item.mask))
        if self._bytes + size <= REMEMBERED:
            self._known[n] = item
            self._bytes += size
        return item

    def frames(self, n: int) -> int:
        """Return how many latent frames item ``n`` has."""
        if n not in self._frames:
            self._frames[n] = len(self._latents(self.places[n], self._cameras[0]).latent)
        return self._frames[n]

    def task(self, n: int) -> str:
        """Return the name of its task, or its instruction where the dataset says none."""
        return self.places[n].episode.task or self.places[n].segment.action_text

    def episode(self, n: int) -> str:
        """Return which episode it is of; items of one episode answer the same, of two another."""
        place = self.places[n]
        name = place.dataset.folder.relative_to(self.folder).as_posix()
        return f"{place.episode.index}" if name == "." else f"{name}/{place.episode.index}"

    def hash(self) -> str:
        """Return 12 hex digits over everything that decides an item: rows, latents, texts, segments, robot; not where
        it lies.

        Raises NotReady for a file that cannot be read, or is being written.
        """
        said = [
            [self.episode(n), *(getattr(place.segment, name) for name in place.segment.__struct_fields__)]
            for n, place in enumerate(self.places)
        ]
        digest = hashlib.sha256(json.dumps([to_dict(self.robot), said], sort_keys=True).encode())
        try:
            digest.update(together_sha256(self._files()))
        except OSError as error:
            raise NotReady(f"cannot read {error.filename}: {error.strerror}") from None
        return digest.hexdigest()[:12]

    def _files(self) -> list[Path]:
        found = [_empty_file(self.folder, [place.dataset for place in self.places])]
        for folder in sorted(self._words):
            found += [file for file in (words_file(folder), texts_file(folder)) if file.exists()]
        found += sorted({place.episode.file for place in self.places})
        for place in self.places:
            found += [latent_file(place.dataset, place.episode, place.segment, key) for key in self._cameras]
        return found

    def _read(self, place: Place) -> Item:
        parts = [self._latents(place, camera) for camera in self._cameras]
        latents = together([part.latent for part in parts], self.settings.layout).contiguous().clone()
        ids, frames = parts[0].frame_ids, latents.shape[1]
        stride = ids[1] - ids[0]
        if stride != self.settings.commands_per_look:
            raise BadInput(
                f"{self._name(place)}: its pictures are {stride} rows apart, and the robot {self.robot.name} has "
                f"{self.settings.commands_per_look} commands per look; encode it again with lingbot-eval latents"
            )
        try:
            rows = self._rows(place, ids[0], frames, stride)
            state = state_at(place.dataset, place.episode, ids[0], self.robot)
            found = commands(rows, self.robot, place.dataset.names(), state)
            actions = torch.from_numpy(normalised(found, self.settings, frames, stride))
        except BadInput as error:
            raise BadInput(f"{self._name(place)}: {error}") from None
        mask = torch.from_numpy(used(self.settings)).view(-1, 1, 1, 1).expand_as(actions).clone()
        given = -(-place.segment.given // (stride * IMAGES_PER_FRAME))
        return Item(latents, actions, mask, self._wordings(place, parts[0].text), given)

    def _rows(self, place: Place, first: int, frames: int, stride: int) -> Rows:
        """Return the segment's rows from its first picture on; held where the robot says so and they are too few."""
        rows = place.dataset.rows(place.episode)[first : place.segment.end_frame]
        lacking = 4 * stride * (frames - 1) - len(rows)
        if self.robot.tail == "hold" and lacking > 0 and len(rows):
            rows = np.concatenate([rows, np.repeat(rows[-1:], lacking, axis=0)])
        return rows

    def _wordings(self, place: Place, own: Tensor) -> tuple[Tensor, ...]:
        """Return texts; equal ones of several items are one tensor."""
        folder, words = place.dataset.folder, place.segment.action_text
        key = f"{folder}\0{words}"
        if key not in self._own:
            self._own[key] = real_tokens(own)
        others = (self._texts[folder].get(other) for other in self._words[folder].get(words, ()))
        return (self._own[key], *(other for other in others if other is not None))

    def _latents(self, place: Place, camera: str) -> Latents:
        return read_latents(latent_file(place.dataset, place.episode, place.segment, camera))

    def _name(self, place: Place) -> str:
        return f"{place.dataset.folder}, episode {place.episode.index} from row {place.segment.start_frame} on"


def open_items(folder: Path, robot: Robot) -> Items:
    """Find the segments below ``folder`` that have latents of all the robot's cameras, as the original does: others
    are left out.

    Raises NotReady where there is no dataset, none has latents, or the text of "" is missing; BadInput for a dataset
    that cannot be read.
    """
    datasets = datasets_in(folder)
    _require_made(datasets, robot)
    cameras = list(settings_of(robot).cameras.values())
    places = [
        Place(dataset, episode, segment)
        for dataset in datasets
        for episode in dataset.episodes
        for segment in episode.segments
        if in_bounds(episode, segment)
        and all(latent_file(dataset, episode, segment, camera).is_file() for camera in cameras)
    ]
    make = f"lingbot-eval latents {folder} --robot {robot.name} --checkpoint DIR"
    if not places:
        count = sum(len(episode.segments) for dataset in datasets for episode in dataset.episodes)
        raise NotReady(f"none of the {count} segments in {folder} has latents of {', '.join(cameras)}: {make}")
    file = _empty_file(folder, datasets)
    if not file.is_file():
        raise NotReady(f'{file}, the text of "", is missing: {make}')
    empty = read_tensors(file)
    if not isinstance(empty, Tensor) or empty.dim() != 2:
        raise BadInput(f"{file} holds no matrix")
    return Items(folder, places, robot, real_tokens(empty))


def _require_made(datasets: Sequence[LeRobot], robot: Robot) -> None:
    """Raise BadInput where a dataset's latents were made for a robot that sees otherwise, or by other encoders than
    another's. Those of other programs do not say it."""
    said = {one.folder: made for one in datasets if (made := read_made(one.folder)) is not None}
    first = next(iter(said.items()), None)
    for folder, made in said.items():
        if differences := made.differences(made.of(robot)):
            words = f"were made for another robot than {robot.name}: {'; '.join(differences)}"
            raise BadInput(f"the latents in {folder} {words}; choose theirs, or encode the data again")
        if first and made.encoders != first[1].encoders:
            raise BadInput(
                f"the latents in {folder} and {first[0]} were made by different encoders: train on one of them"
            )


def _empty_file(folder: Path, datasets: Sequence[LeRobot]) -> Path:
    """Return where the text of "" lies: in the folder, or else in its first dataset."""
    inside = datasets[0].folder / EMPTY
    return inside if inside.is_file() and not (folder / EMPTY).is_file() else folder / EMPTY
