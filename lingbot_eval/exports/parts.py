"""One played episode as files, before a dataset is made of all of them.

    <task>/<stem>/<key>.mp4    a film of each camera, by its key in the dataset
    <task>/<stem>/rows.npz     what a row has besides pictures and counters
    <task>/<stem>/about.json   of which commands it was made, and what is in the films

A part appears whole or not at all, so that whoever is stopped goes on with the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lingbot_eval import files
from lingbot_eval.errors import CorruptRecords
from lingbot_eval.exports.playback import Moment
from lingbot_eval.exports.statistics import Statistics, histogram, of_pixels
from lingbot_eval.names import actions_name
from lingbot_eval.types import EpisodeRecord, Image
from lingbot_eval.videos import data_mp4

ABOUT, ROWS = "about.json", "rows.npz"


@dataclass(frozen=True)
class Part:
    """An episode that was played again as it was recorded."""

    folder: Path
    rows: Mapping[str, npt.NDArray[Any]]
    """By key of the dataset, (length, ...)."""
    pictures: Mapping[str, Statistics]
    """Of each film, by its key."""
    sizes: Mapping[str, tuple[int, int]]
    """Height and width of each film, by its key."""

    def film(self, key: str) -> Path:
        return film_of(self.folder, key)


def film_of(folder: Path, key: str) -> Path:
    return folder / f"{key}.mp4"


def place(parts: Path, record: EpisodeRecord) -> Path:
    """Return the folder of the episode's part."""
    return parts / actions_name(record.episode).removesuffix(".npz")


def mark(record: EpisodeRecord, commands: npt.NDArray[np.float32], rate: int, held: int) -> str:
    """Return 16 hex digits over what a part is made of: the ``commands`` (n, D) of this record, the ``rate`` of rows
    per second, and how many rows are ``held`` at its end."""
    said = json.dumps([record.episode.id, record.outcome.value, record.commands, record.progress, rate, held])
    return hashlib.sha256(said.encode() + commands.tobytes()).hexdigest()[:16]


def write(folder: Path, moments: Iterable[Moment], cameras: Mapping[str, str], rate: int, made_of: str) -> None:
    """Write the part ``folder``: a row per command. ``cameras`` have their keys in the dataset by our names. If
    ``moments`` raises, nothing is left."""
    beside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    beside.mkdir(parents=True)
    try:
        rows, colours, sizes = _play(beside, moments, cameras, rate)
        np.savez(beside / ROWS, **rows)
        length = len(rows["action"])
        for file in beside.iterdir():
            files.synced(file)
        pictures = {key: of_pixels(colours[key], length) for key in cameras.values()}
        files.write_whole(
            beside / ABOUT, files.with_checksum({"made_of": made_of, "pictures": pictures, "sizes": sizes})
        )
        shutil.rmtree(folder, ignore_errors=True)  # one of other commands
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def read(folder: Path, made_of: str = "") -> Part | None:
    """Return the part in ``folder``; None where there is none, or one of other commands than ``made_of`` says (empty:
    whatever it is of).

    Raises CorruptRecords.
    """
    content = files.read(folder / ABOUT)
    if content is None:
        return None
    about = files.parsed(content, folder / ABOUT)
    if made_of and about["made_of"] != made_of:
        return None
    try:
        with files.regular(folder / ROWS) as stream, np.load(stream, allow_pickle=False) as kept:
            rows = dict(kept)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CorruptRecords(f"{folder / ROWS} cannot be read ({error}); delete {folder}: it is made again") from None
    return Part(folder, rows, about["pictures"], {key: (size[0], size[1]) for key, size in about["sizes"].items()})


def _play(
    folder: Path, moments: Iterable[Moment], cameras: Mapping[str, str], rate: int
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, npt.NDArray[np.int64]], dict[str, tuple[int, int]]]:
    """Write the films; return the rows, and each film's histogram and size."""
    colours = {key: np.zeros((3, 256), np.int64) for key in cameras.values()}
    sizes: dict[str, tuple[int, int]] = {}
    seen: list[Moment] = []
    with _films(folder, cameras.values(), rate) as films:
        for moment in moments:
            images = moment.observation["images"]
            for name, key in cameras.items():
                image: Image = images[name]
                films[key].append_data(image)
                colours[key] += histogram(image)
                sizes[key] = image.shape[0], image.shape[1]
            seen.append(moment)
    success = np.array([moment.success for moment in seen])
    rows = {
        "observation.state": np.stack([moment.observation["state"] for moment in seen]),
        "action": np.stack([moment.command for moment in seen]),
        "next.reward": success.astype(np.float32),
        "next.success": success,
        "next.done": np.array([moment.done for moment in seen]),
    }
    return rows, colours, sizes


@contextlib.contextmanager
def _films(folder: Path, keys: Iterable[str], rate: int) -> Iterator[Mapping[str, Any]]:
    with contextlib.ExitStack() as stack:
        yield {key: stack.enter_context(contextlib.closing(data_mp4(film_of(folder, key), rate))) for key in keys}
