"""A LeRobotDataset on disk, version 2.1 or 3.0, written without the lerobot package.

Source of both layouts: huggingface/lerobot v0.3.3 and v0.4.4, datasets/utils.py and lerobot_dataset.py. Version 3.0
allows many episodes per file; here each has its own, in both versions, so that both are written by the same lines.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lingbot_eval.exports.playback import Moment
from lingbot_eval.types import Image
from lingbot_eval.videos import data_mp4

CHUNK = 1000
"""Episodes per folder: LeRobot's DEFAULT_CHUNK_SIZE."""

Statistics = dict[str, list[Any]]
"""``min``, ``max``, ``mean``, ``std``, ``count``; of pictures (3, 1, 1) per colour, in [0, 1]."""


@dataclass(frozen=True)
class Layout:
    """Says where LeRobot looks for an episode's files, in LeRobot's own templates."""

    version: str
    data: str
    video: str

    def data_file(self, episode: int) -> str:
        return self.data.format(**_numbers(episode))

    def video_file(self, episode: int, key: str) -> str:
        return self.video.format(video_key=key, **_numbers(episode))


def _numbers(episode: int) -> dict[str, int]:
    chunk, file = divmod(episode, CHUNK)
    return {"episode_chunk": chunk, "episode_index": episode, "chunk_index": chunk, "file_index": file}


LAYOUTS = {
    "2.1": Layout(
        "v2.1",
        "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    ),
    "3.0": Layout(
        "v3.0",
        "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    ),
}


@dataclass(frozen=True)
class Stored:
    """An episode that the dataset has."""

    start: int
    """The episode's first row in the dataset."""
    length: int
    """The episode has so many rows, one per command."""
    instruction: str
    statistics: dict[str, Statistics]


class Dataset:
    """Writes episodes, one after another, into an empty folder; the dataset is complete when closed."""

    def __init__(
        self, folder: Path, layout: Layout, rate: int, cameras: Mapping[str, str], names: Sequence[str] | None
    ) -> None:
        """``rate`` counts rows per second, which LeRobot wants whole. ``cameras`` has their keys in the dataset by our
        names, ``names`` those of the command's columns."""
        self._folder, self._layout, self._rate, self._cameras = folder, layout, rate, cameras
        self._names = names
        self._features: dict[str, Any] = {}
        self._tasks: dict[str, int] = {}
        self.episodes: list[Stored] = []

    def add(self, moments: Iterable[Moment], instruction: str) -> None:
        """Write a row per command: what was seen before it (``observation``), the command (``action``), what it led to
        (``next``), and LeRobot's counters, of which ``timestamp`` is seconds since the episode began. If ``moments``
        raises, the dataset stays as it was."""
        number, start = len(self.episodes), sum(episode.length for episode in self.episodes)
        films = {name: self._folder / self._layout.video_file(number, key) for name, key in self._cameras.items()}
        colours = {name: np.zeros((3, 256), np.int64) for name in self._cameras}
        columns: dict[str, list[Any]] = {"observation.state": [], "action": [], **{key: [] for key in _NEXT}}
        try:
            with contextlib.ExitStack() as stack:
                writers = {}
                for name, file in films.items():
                    file.parent.mkdir(parents=True, exist_ok=True)
                    writers[name] = stack.enter_context(contextlib.closing(data_mp4(file, self._rate)))
                for moment in moments:
                    images = {name: moment.observation["images"][name] for name in self._cameras}
                    for name, image in images.items():
                        writers[name].append_data(image)
                        colours[name] += _histogram(image)
                    columns["observation.state"].append(moment.observation["state"])
                    columns["action"].append(moment.command)
                    for key, value in zip(_NEXT, (float(moment.success), moment.success, moment.done), strict=True):
                        columns[key].append(value)
        except BaseException:
            for file in films.values():
                file.unlink(missing_ok=True)
            raise
        length = len(columns["action"])
        task = self._tasks.setdefault(instruction, len(self._tasks))
        rows = np.arange(length)
        values: dict[str, npt.NDArray[Any]] = {
            "observation.state": np.stack(columns["observation.state"]),
            "action": np.stack(columns["action"]),
            "next.reward": np.array(columns["next.reward"], np.float32),
            "next.success": np.array(columns["next.success"]),
            "next.done": np.array(columns["next.done"]),
            "timestamp": (rows / self._rate).astype(np.float32),
            "frame_index": rows,
            "episode_index": np.full(length, number),
            "index": start + rows,
            "task_index": np.full(length, task),
        }
        if not self._features:
            self._features = self._describe(values, images)
        statistics = {key: _statistics(value) for key, value in values.items()}
        statistics |= {key: _colours(colours[name], length) for name, key in self._cameras.items()}
        _write_table(values, self._folder / self._layout.data_file(number))
        self.episodes.append(Stored(start, length, instruction, statistics))

    def close(self, card: str) -> None:
        """Write what describes the episodes. ``card`` is the dataset's README.md."""
        meta = self._folder / "meta"
        meta.mkdir(parents=True, exist_ok=True)
        (self._folder / "README.md").write_text(card, encoding="utf-8")
        (meta / "info.json").write_text(json.dumps(self._info(), indent=4) + "\n")
        if self._layout.version == "v2.1":
            self._write_meta_21(meta)
        else:
            self._write_meta_30(meta)

    def _describe(self, values: Mapping[str, npt.NDArray[Any]], images: Mapping[str, Image]) -> dict[str, Any]:
        """Return LeRobot's ``features``."""
        features: dict[str, Any] = {}
        for name, key in self._cameras.items():
            height, width, _ = images[name].shape
            film = {"height": height, "width": width, "codec": "h264", "pix_fmt": "yuv420p", "fps": self._rate}
            film |= {"is_depth_map": False, "channels": 3}
            features[key] = {
                "dtype": "video",
                "shape": [height, width, 3],
                "names": ["height", "width", "channels"],
                "info": {**{f"video.{what}": value for what, value in film.items()}, "has_audio": False},
            }
        for key, value in values.items():
            names = list(self._names) if key == "action" and self._names else None
            features[key] = {"dtype": str(value.dtype), "shape": list(value.shape[1:]) or [1], "names": names}
        return features

    def _info(self) -> dict[str, Any]:
        count = len(self.episodes)
        info: dict[str, Any] = {
            "codebase_version": self._layout.version,
            "robot_type": None,
            "total_episodes": count,
            "total_frames": sum(episode.length for episode in self.episodes),
            "total_tasks": len(self._tasks),
            "chunks_size": CHUNK,
            "fps": self._rate,
            "splits": {"train": f"0:{count}"},
            "data_path": self._layout.data,
            "video_path": self._layout.video,
            "features": self._features,
        }
        if self._layout.version == "v2.1":
            return {**info, "total_videos": count * len(self._cameras), "total_chunks": -(-count // CHUNK)}
        return {**info, "data_files_size_in_mb": 100, "video_files_size_in_mb": 200}  # of files that are added to these

    def _write_meta_21(self, meta: Path) -> None:
        """Write the ``meta`` of version 2.1. ``action_config`` is LingBot-VA's: it says what is done in which rows,
        here in one sentence for all of an episode's."""
        _write_lines(meta / "tasks.jsonl", [{"task_index": k, "task": task} for task, k in self._tasks.items()])
        _write_lines(
            meta / "episodes.jsonl",
            [
                {
                    "episode_index": number,
                    "tasks": [episode.instruction],
                    "length": episode.length,
                    "action_config": [
                        {"start_frame": 0, "end_frame": episode.length, "action_text": episode.instruction}
                    ],
                }
                for number, episode in enumerate(self.episodes)
            ],
        )
        _write_lines(
            meta / "episodes_stats.jsonl",
            [{"episode_index": k, "stats": episode.statistics} for k, episode in enumerate(self.episodes)],
        )

    def _write_meta_30(self, meta: Path) -> None:
        tasks = pa.table({"task_index": pa.array(self._tasks.values(), pa.int64()), "task": list(self._tasks)})
        index = {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object"}
        pandas = {"index_columns": ["task"], "column_indexes": [], "columns": [index], "pandas_version": "2.0"}
        pq.write_table(tasks.replace_schema_metadata({"pandas": json.dumps(pandas)}), meta / "tasks.parquet")
        rows = []
        for number, episode in enumerate(self.episodes):
            chunk, file = divmod(number, CHUNK)
            row = {
                "episode_index": number,
                "tasks": [episode.instruction],
                "length": episode.length,
                "data/chunk_index": chunk,
                "data/file_index": file,
                "dataset_from_index": episode.start,
                "dataset_to_index": episode.start + episode.length,
            }
            for key in self._cameras.values():
                place = {"chunk_index": chunk, "file_index": file, "from_timestamp": 0.0}
                place["to_timestamp"] = episode.length / self._rate
                row |= {f"videos/{key}/{what}": value for what, value in place.items()}
            for key, statistics in episode.statistics.items():
                row |= {f"stats/{key}/{what}": value for what, value in statistics.items()}
            rows.append(row | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0})
        (meta / "episodes" / "chunk-000").mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), meta / "episodes" / "chunk-000" / "file-000.parquet")
        together = _together([episode.statistics for episode in self.episodes])
        (meta / "stats.json").write_text(json.dumps(together, indent=4) + "\n")


_NEXT = ("next.reward", "next.success", "next.done")
"""LeRobot's own recording of an evaluation names them so; the reward is 1 at success."""


def _write_lines(file: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def _write_table(values: Mapping[str, npt.NDArray[Any]], file: Path) -> None:
    """Write vectors as lists of fixed size, and those of one number as the number, as LeRobot has them."""
    arrays = {}
    for key, value in values.items():
        flat, width = pa.array(value.reshape(-1)), value[0].size
        arrays[key] = flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays), file)


def _statistics(values: npt.NDArray[Any]) -> Statistics:
    """Compute statistics over rows."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    found = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
    return {**{what: value.tolist() for what, value in found.items()}, "count": [len(rows)]}


def _histogram(image: Image) -> npt.NDArray[np.int64]:
    """Count how many pixels have which value, per colour: (3, 256)."""
    return np.stack([np.bincount(image[..., colour].ravel(), minlength=256) for colour in range(3)])


def _colours(histogram: npt.NDArray[np.int64], pictures: int) -> Statistics:
    """Compute statistics of all pixels; ``count`` is the number of pictures."""
    values, pixels = np.arange(256) / 255, histogram[0].sum()
    mean = histogram @ values / pixels
    found = {
        "min": values[(histogram > 0).argmax(1)],
        "max": values[255 - (histogram[:, ::-1] > 0).argmax(1)],
        "mean": mean,
        "std": np.sqrt((histogram * (values - mean[:, None]) ** 2).sum(1) / pixels),
    }
    return {**{what: value.reshape(3, 1, 1).tolist() for what, value in found.items()}, "count": [pictures]}


def _together(episodes: Sequence[dict[str, Statistics]]) -> dict[str, Statistics]:
    """Compute statistics of all episodes' rows from those of each episode."""
    found = {}
    for key in episodes[0]:
        parts = [{what: np.array(value) for what, value in episode[key].items()} for episode in episodes]
        weights = np.array([part["count"][0] for part in parts], np.float64)
        mean = np.average([part["mean"] for part in parts], axis=0, weights=weights)
        squares = [part["std"] ** 2 + (part["mean"] - mean) ** 2 for part in parts]
        found[key] = {
            "min": np.min([part["min"] for part in parts], axis=0).tolist(),
            "max": np.max([part["max"] for part in parts], axis=0).tolist(),
            "mean": mean.tolist(),
            "std": np.sqrt(np.average(squares, axis=0, weights=weights)).tolist(),
            "count": [int(weights.sum())],
        }
    return found
