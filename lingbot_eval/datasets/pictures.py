"""An episode's pictures, whether they lie in a video or, as LeRobot has it too, in the rows."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lingbot_eval.datasets.lerobot import LeRobot, Recorded
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.types import Image
from lingbot_eval.videos import pictures_at, read_picture


def pictures(dataset: LeRobot, episode: Recorded, camera: str, rows: Sequence[int]) -> Image:
    """Return (T, H, W, 3) uint8 RGB: what a camera's key shows at these rows of the episode, which rise or stay.

    Raises BadInput for a key that has no pictures or for what cannot be read, NotReady for a file that is missing.
    """
    if camera not in dataset.cameras():
        known = ", ".join(dataset.cameras()) or "none"
        raise BadInput(f"{dataset.folder} has no pictures of {camera} (it has: {known})")
    if dataset.features[camera]["dtype"] == "video":
        film = dataset.film(episode, camera)
        return pictures_at(film.file, [film.first + row for row in rows], dataset.fps)
    return _in_rows(episode, camera, rows)


def _in_rows(episode: Recorded, camera: str, rows: Sequence[int]) -> Image:
    """Read encoded pictures, ``{"bytes": ..., "path": ...}``; those that are files of their own are not."""
    file = episode.file
    try:
        table = pq.read_table(file, columns=["episode_index", camera])
        own = table.filter(pa.compute.equal(table["episode_index"], episode.index))[camera]
        contents = own.combine_chunks().field("bytes").to_pylist()
    except FileNotFoundError:
        raise NotReady(f"{file} is missing") from None
    except (OSError, pa.ArrowException, KeyError, AttributeError) as error:
        raise BadInput(f"{file}, {camera}: {' '.join(str(error).split())[:200]}") from None
    if rows[-1] >= len(contents) or any(contents[row] is None for row in rows):
        raise BadInput(f"{file}, {camera}: row {rows[-1]} of episode {episode.index} has no picture in it")
    read = {row: read_picture(io.BytesIO(contents[row]), f"{file}, {camera}, row {row}") for row in set(rows)}
    found = [read[row] for row in rows]
    if len({one.shape for one in found}) > 1:
        raise BadInput(f"{file}, {camera}: pictures of episode {episode.index} are of several sizes")
    return np.stack(found)
