"""Reads a LeRobotDataset from disk, version 2.0, 2.1 or 3.0, without the lerobot package.

Source of the layouts: huggingface/lerobot v0.3.3 and v0.4.4, datasets/utils.py and lerobot_dataset.py. In 3.0 many
episodes share a file of rows and a video.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.files import bounded, json_object

VERSIONS = ("v2.0", "v2.1", "v3.0")

CHUNK = 1000
"""A folder has so many episodes where ``chunks_size`` says nothing else."""

DEEPEST = 3
"""Datasets are looked for in so many folders within one another."""

TABLES = 32
"""Rows of so many files are kept in memory."""

Row = Annotated[int, msgspec.Meta(ge=0)]

Rows = npt.NDArray[np.float32]
"""(n, D)"""

Table = tuple[npt.NDArray[np.int64], Rows]
"""The episode of each row of a file, and the rows."""


class Segment(msgspec.Struct, frozen=True):
    """Rows of an episode in which one sentence's work is done; LingBot-VA calls them ``action_config``."""

    start_frame: Row
    end_frame: Row
    """The first row that is not part of it."""
    action_text: str
    given: Row = 0
    """So many of its first rows are known when it is played, and not learnt: they lead to where the work begins. Only
    this package's datasets say so."""


class _Episode(msgspec.Struct, frozen=True):
    """What every version says of an episode; the rest is left unread."""

    episode_index: Row
    length: Row
    tasks: tuple[str, ...] = ()
    action_config: tuple[Segment, ...] | None = None
    task: str | None = None


@dataclass(frozen=True)
class Film:
    """Where an episode's pictures lie in a video."""

    file: Path
    first: int
    """The video's picture that is the episode's first."""


@dataclass(frozen=True)
class Recorded:
    """An episode of a dataset."""

    index: int
    length: int
    """It has so many rows."""
    segments: tuple[Segment, ...]
    task: str | None
    """The name of its task, where whoever wrote the dataset says one besides the sentence."""
    file: Path
    """Its rows are in this file, perhaps among others'."""
    places: Mapping[str, Any]
    """What stands in the templates of file names."""


class LeRobot:
    """A dataset's rows and pictures, by episode."""

    def __init__(self, folder: Path) -> None:
        """Raises NotReady where ``folder`` has no dataset, BadInput for one that cannot be read."""
        self.folder = folder
        self.info = _info(folder)
        self.version = str(self.info["codebase_version"])
        self.fps = float(self.info["fps"])
        self.features: Mapping[str, Any] = self.info["features"]
        self._chunk: int = self.info.get("chunks_size") or CHUNK
        read = self._episodes_3 if self.version == "v3.0" else self._episodes_2
        try:
            self.episodes = sorted(read(), key=lambda episode: episode.index)
        except (msgspec.ValidationError, msgspec.DecodeError, pa.ArrowException, KeyError, IndexError) as error:
            raise BadInput(f"{folder / 'meta'}: the episodes cannot be read ({error})") from None
        except OSError as error:
            raise NotReady(f"cannot read {error.filename or folder / 'meta'}: {error.strerror or error}") from None
        for one, after in itertools.pairwise(self.episodes):
            if one.index == after.index:
                raise BadInput(f"{folder / 'meta'} has episode {one.index} twice; leave one of them out")
        self._tables: dict[tuple[Path, str], Table] = {}

    def cameras(self) -> list[str]:
        """Return the keys of what is stored as videos, or as pictures in the rows."""
        return [key for key, feature in self.features.items() if _kind(feature) in ("video", "image")]

    def names(self) -> list[str]:
        """Return the names of the columns of ``action``; their numbers where it has none."""
        feature = self.features.get("action")
        names = feature.get("names") if isinstance(feature, dict) else None
        if isinstance(names, dict):  # {"motors": [...]} in older datasets
            names = next(iter(names.values()), None)
        count: int = feature["shape"][0] if isinstance(feature, dict) else 0
        if isinstance(names, list) and len(names) == count:
            return [str(name) for name in names]
        return [str(number) for number in range(count)]

    def rows(self, episode: Recorded, column: str = "action") -> Rows:
        """Return (n, D) float32: the episode's rows, whatever other episodes lie in their file.

        Raises BadInput and NotReady for a file that is missing, damaged or lacks the column.
        """
        key = (episode.file, column)
        if key not in self._tables:
            if len(self._tables) == TABLES:
                del self._tables[next(iter(self._tables))]
            self._tables[key] = _table(episode.file, column)
        indices, values = self._tables[key]
        rows: Rows = values[indices == episode.index]
        return rows

    def film(self, episode: Recorded, camera: str) -> Film:
        """Return where the pictures of a key lie that is stored as videos. Raises BadInput for a template that leads
        nowhere."""
        places = dict(episode.places)
        if self.version == "v3.0":
            places |= {name: places[f"videos/{camera}/{name}"] for name in ("chunk_index", "file_index")}
            first = round(float(places[f"videos/{camera}/from_timestamp"]) * self.fps)
        else:
            first = 0
        file = _within(self.folder, self.info["video_path"], {**places, "video_key": camera})
        return Film(file, first)

    def chunk(self, episode: Recorded) -> int:
        """Return the number of the folder of an episode's latents, by version 2.1's rule."""
        return episode.index // self._chunk

    def data_files(self) -> list[Path]:
        return sorted({episode.file for episode in self.episodes})

    def _episodes_2(self) -> Iterator[Recorded]:
        file = self.folder / "meta" / "episodes.jsonl"
        with file.open("rb") as lines:
            for line in lines:
                if line.strip():
                    said = msgspec.json.decode(line, type=_Episode)
                    places = {"episode_chunk": said.episode_index // self._chunk, "episode_index": said.episode_index}
                    yield self._recorded(said, places)

    def _episodes_3(self) -> Iterator[Recorded]:
        files = sorted((self.folder / "meta" / "episodes").rglob("*.parquet"))
        if not files:
            raise NotReady(f"{self.folder / 'meta' / 'episodes'} has no *.parquet")
        for file in files:
            names = [name for name in pq.read_schema(file).names if not name.startswith("stats/")]
            for row in pq.read_table(file, columns=names).to_pylist():
                said = msgspec.convert(row, _Episode)
                places = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
                films = {name: value for name, value in row.items() if name.startswith("videos/")}
                yield self._recorded(said, {**films, **places, "episode_index": said.episode_index})

    def _recorded(self, said: _Episode, places: Mapping[str, Any]) -> Recorded:
        segments = said.action_config
        if segments is None:
            segments = (Segment(0, said.length, said.tasks[0] if said.tasks else ""),)
        file = _within(self.folder, self.info["data_path"], places)
        return Recorded(said.episode_index, said.length, segments, said.task, file, places)


def datasets_in(folder: Path) -> list[LeRobot]:
    """Return the dataset that ``folder`` is, or all that are in it.

    Raises NotReady where there is none, BadInput for one that cannot be read.
    """
    return [LeRobot(one) for one in folders_in(folder)]


def folders_in(folder: Path) -> list[Path]:
    """Return the folders of datasets, of which ``folder`` may be one. Raises NotReady where there is none."""
    found = sorted(_folders(folder, DEEPEST))
    if not found:
        raise NotReady(
            f"{folder} is no LeRobot dataset, nor has one in it: meta/info.json is missing; lingbot-eval export RUN "
            "--to lerobot-2.1 writes one"
        )
    return found


def _folders(folder: Path, deepest: int) -> Iterator[Path]:
    if os.path.isfile(folder / "meta" / "info.json"):
        yield folder
    elif deepest and os.path.isdir(folder):
        for entry in os.scandir(folder):
            if entry.is_dir() and not entry.name.startswith("."):
                yield from _folders(folder / entry.name, deepest - 1)


def _info(folder: Path) -> dict[str, Any]:
    file = folder / "meta" / "info.json"
    try:
        info = json_object(bounded(file))
    except FileNotFoundError:
        raise NotReady(f"{folder} is no LeRobot dataset: {file} is missing") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} cannot be read: {error}") from None
    version = info.get("codebase_version")
    if version not in VERSIONS:
        raise BadInput(f"{file}: codebase_version {version!r} (valid: {', '.join(VERSIONS)})")
    kinds: dict[str, Any] = {"fps": (int, float), "features": dict, "data_path": str}
    if bad := [key for key, kind in kinds.items() if not isinstance(info.get(key), kind)]:
        raise BadInput(f"{file}: {bad[0]} is {json.dumps(info.get(bad[0]))[:60]}, which is none")
    if not 0 < info["fps"] < 10_000:
        raise BadInput(f"{file}: fps is {info['fps']}, not a rate")
    if type(chunk := info.get("chunks_size") or CHUNK) is not int or chunk < 1:
        raise BadInput(f"{file}: chunks_size is {json.dumps(chunk)[:60]}, not a number of episodes")
    _require_features(info["features"], file)
    return info


def _require_features(features: Mapping[str, Any], file: Path) -> None:
    """Raise BadInput for a key that is no name of a folder, as a camera's becomes, and for an ``action`` that is no
    vector."""
    for key in features:
        if not key or "/" in key or key in (".", ".."):
            raise BadInput(f"{file}: {key!r} is no name of a feature")
    action = features.get("action", {"shape": [0]})
    shape = action.get("shape") if isinstance(action, dict) else None
    if not isinstance(shape, list) or len(shape) != 1 or type(shape[0]) is not int:
        raise BadInput(f"{file}: action has the shape {json.dumps(shape)[:60]}, and is no vector")


def _kind(feature: object) -> object:
    return feature.get("dtype") if isinstance(feature, dict) else None


def _within(folder: Path, template: object, places: Mapping[str, Any]) -> Path:
    """Fill a template of info.json, which is a stranger's and may lead nowhere else than into ``folder``.

    Raises BadInput.
    """
    try:
        name = str(template).format_map(places)
    except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        raise BadInput(f"{folder / 'meta' / 'info.json'}: {template!r} is no template of a file ({error})") from None
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise BadInput(f"{folder / 'meta' / 'info.json'}: {template!r} leads out of the dataset")
    return folder / path


def _table(file: Path, column: str) -> Table:
    try:
        if missing := {"episode_index", column} - set(pq.read_schema(file).names):
            raise ValueError(f"it has no column {' or '.join(sorted(missing))}")
        table = pq.read_table(file, columns=["episode_index", column])
        indices = table["episode_index"].to_numpy()
        values = numbers(table[column])
    except FileNotFoundError:
        raise NotReady(f"{file} is missing") from None
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise BadInput(f"{file} cannot be read: {' '.join(str(error).split())[:200]}") from None
    return np.asarray(indices, np.int64), values


def numbers(column: Any) -> Rows:
    """Return an Arrow column of vectors of one length, or of numbers, as (n, D) float32, as datasets does for torch.

    Raises ValueError for vectors of several lengths.
    """
    count, flat = len(column), column
    while pa.types.is_nested(flat.type):
        flat = pa.compute.list_flatten(flat)
    values = np.asarray(flat.to_numpy(), np.float32)
    return values.reshape(count, -1) if count else values.reshape(0, 1)


def selected(names: Sequence[str], column: int | str) -> int:
    """Return the number of a command column that is given as a number or by name. Raises BadInput."""
    known = f"the dataset's action has {len(names)} columns: {', '.join(names)}"
    if isinstance(column, str) and column not in names:
        raise BadInput(f"column {column!r} is none; {known}")
    number = names.index(column) if isinstance(column, str) else column
    if not 0 <= number < len(names):
        raise BadInput(f"column {column} is none; {known}")
    return number
