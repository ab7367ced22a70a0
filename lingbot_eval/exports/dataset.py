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

from lingbot_eval.exports.parts import Part
from lingbot_eval.exports.statistics import Statistics, of_rows, together
from lingbot_eval.files import write_whole
from lingbot_eval.types import Episode

CHUNK = 1000
"""Episodes per folder: LeRobot's DEFAULT_CHUNK_SIZE."""


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
    episode: Episode
    statistics: dict[str, Statistics]

    @property
    def instruction(self) -> str:
        return self.episode.instruction


class Dataset:
    """Puts episodes, one after another, into a folder; the dataset is complete when closed."""

    def __init__(self, folder: Path, layout: Layout, rate: int, names: Sequence[str] | None) -> None:
        """``rate`` counts rows per second, which LeRobot wants whole; ``names`` are those of the command's columns."""
        self._folder, self._layout, self._rate, self._names = folder, layout, rate, names
        self._keys: tuple[str, ...] = ()
        self._features: dict[str, Any] = {}
        self._tasks: dict[str, int] = {}
        self.episodes: list[Stored] = []

    def add(self, part: Part, episode: Episode) -> None:
        """Write a row per command: what was seen before it (``observation``), the command (``action``), what it led to
        (``next``), and LeRobot's counters, of which ``timestamp`` is seconds since the episode began. The part's films
        move to their place; where they have moved already, they stay there."""
        number, length = len(self.episodes), len(part.rows["action"])
        start = self.episodes[-1].start + self.episodes[-1].length if self.episodes else 0
        task = self._tasks.setdefault(episode.instruction, len(self._tasks))
        rows = np.arange(length)
        values: dict[str, npt.NDArray[Any]] = {
            **part.rows,
            "timestamp": (rows / self._rate).astype(np.float32),
            "frame_index": rows,
            "episode_index": np.full(length, number),
            "index": start + rows,
            "task_index": np.full(length, task),
        }
        if not self._features:
            self._keys = tuple(part.sizes)
            self._features = self._describe(values, part.sizes)
        for key in self._keys:
            film = self._folder / self._layout.video_file(number, key)
            film.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                part.film(key).replace(film)
        statistics = {key: of_rows(value) for key, value in values.items()} | dict(part.pictures)
        _write_table(values, self._folder / self._layout.data_file(number))
        self.episodes.append(Stored(start, length, episode, statistics))

    def close(self, card: str, more: Mapping[str, bytes]) -> None:
        """Write what describes the episodes. ``card`` is the dataset's README.md, ``more`` what else is in ``meta``, by
        name. The last to be written is ``meta/info.json``, without which there is no dataset."""
        meta = self._folder / "meta"
        meta.mkdir(parents=True, exist_ok=True)
        write_whole(self._folder / "README.md", card.encode())
        for name, content in more.items():
            write_whole(meta / name, content)
        if self._layout.version == "v2.1":
            self._write_meta_21(meta)
        else:
            self._write_meta_30(meta)
        write_whole(meta / "info.json", json.dumps(self._info(), indent=4).encode() + b"\n")

    def _describe(self, values: Mapping[str, npt.NDArray[Any]], sizes: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
        """Return LeRobot's ``features``."""
        features: dict[str, Any] = {}
        for key, (height, width) in sizes.items():
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
            return {**info, "total_videos": count * len(self._keys), "total_chunks": -(-count // CHUNK)}
        return {**info, "data_files_size_in_mb": 100, "video_files_size_in_mb": 200}  # of files that are added to these

    def _write_meta_21(self, meta: Path) -> None:
        """Write the ``meta`` of version 2.1. ``action_config`` is LingBot-VA's: it says what is done in which rows,
        here in one sentence for all of an episode's. ``suite``, ``task``, ``setting`` and ``seed`` are ours."""
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
                    **{name: getattr(episode.episode, name) for name in ("suite", "task", "setting", "seed")},
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
            for key in self._keys:
                place = {"chunk_index": chunk, "file_index": file, "from_timestamp": 0.0}
                place["to_timestamp"] = episode.length / self._rate
                row |= {f"videos/{key}/{what}": value for what, value in place.items()}
            for key, statistics in episode.statistics.items():
                row |= {f"stats/{key}/{what}": value for what, value in statistics.items()}
            rows.append(row | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0})
        (meta / "episodes" / "chunk-000").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), meta / "episodes" / "chunk-000" / "file-000.parquet")
        everything = together([episode.statistics for episode in self.episodes])
        write_whole(meta / "stats.json", json.dumps(everything, indent=4).encode() + b"\n")


def lines_of(lines: Iterable[Mapping[str, Any]]) -> bytes:
    """Write each as a line of JSON."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def _write_lines(file: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    write_whole(file, lines_of(lines))


def _write_table(values: Mapping[str, npt.NDArray[Any]], file: Path) -> None:
    """Write vectors as lists of fixed size, and those of one number as the number, as LeRobot has them."""
    arrays = {}
    for key, value in values.items():
        flat, width = pa.array(value.reshape(-1)), value[0].size
        arrays[key] = flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)
    file.parent.mkdir(parents=True, exist_ok=True)
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays), buffer)
    write_whole(file, buffer.getvalue().to_pybytes())
