"""Small LeRobot datasets, as strangers have them: written here line by line, not by what is tested or exports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lingbot_eval.videos import data_mp4

FPS = 10


@dataclass
class Made:
    """An episode."""

    actions: np.ndarray
    segments: list[tuple[int, int, str]] = field(default_factory=list)
    """None: the file says none."""
    tasks: tuple[str, ...] = ("do it",)
    more: Mapping[str, Any] = field(default_factory=dict)
    states: np.ndarray | None = None


def walk(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Rows that change smoothly, none of them constant."""
    return np.cumsum(np.random.default_rng(seed).normal(0, 0.05, (rows, columns)), axis=0).astype(np.float32)


def picture(episode: int, camera: int, row: int, size: tuple[int, int]) -> np.ndarray:
    """It says which episode, camera and row it is of by its colours."""
    shade = [(37 * episode + 20) % 256, 90 * camera % 256, (8 * row + 10) % 256]
    return np.broadcast_to(np.array(shade, np.uint8), (*size, 3)).copy()


def write_21(
    folder: Path, episodes: Sequence[Made], cameras: Mapping[str, tuple[int, int]], numbers: Sequence[int] = ()
) -> Path:
    """A file of rows and a video per episode and camera; ``numbers``: the episodes' own (default: 0, 1, ...)."""
    numbers = numbers or range(len(episodes))
    data, video = "data/chunk-{c:03d}/episode_{e:06d}.parquet", "videos/chunk-{c:03d}/{k}/episode_{e:06d}.mp4"
    lines = []
    for number, one in zip(numbers, episodes, strict=True):
        _rows(folder / data.format(c=number // 1000, e=number), [(number, one)])
        for camera, (key, size) in enumerate(cameras.items()):
            file = folder / video.format(c=number // 1000, e=number, k=key)
            _film(file, [picture(number, camera, row, size) for row in range(len(one.actions))])
        line: dict[str, Any] = {"episode_index": number, "tasks": one.tasks, "length": len(one.actions), **one.more}
        if one.segments:
            names = ("start_frame", "end_frame", "action_text")
            line["action_config"] = [dict(zip(names, segment, strict=True)) for segment in one.segments]
        lines.append(line)
    info = {
        "codebase_version": "v2.1",
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    }
    _info(folder, info, episodes, cameras)
    (folder / "meta" / "episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def write_30(folder: Path, episodes: Sequence[Made], cameras: Mapping[str, tuple[int, int]]) -> Path:
    """All episodes in one file of rows and one video per camera."""
    _rows(folder / "data" / "chunk-000" / "file-000.parquet", list(enumerate(episodes)))
    for camera, (key, size) in enumerate(cameras.items()):
        pictures = [
            picture(number, camera, row, size) for number, one in enumerate(episodes) for row in range(len(one.actions))
        ]
        _film(folder / "videos" / key / "chunk-000" / "file-000.mp4", pictures)
    info = {
        "codebase_version": "v3.0",
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }
    _info(folder, info, episodes, cameras)
    table, start = [], 0
    for number, one in enumerate(episodes):
        row: dict[str, Any] = {"episode_index": number, "tasks": list(one.tasks), "length": len(one.actions)}
        row |= {"data/chunk_index": 0, "data/file_index": 0, "stats/action/mean": [0.0], **one.more}
        for key in cameras:
            place = {"chunk_index": 0, "file_index": 0, "from_timestamp": start / FPS}
            row |= {f"videos/{key}/{name}": value for name, value in place.items()}
        table.append(row)
        start += len(one.actions)
    (folder / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(table), folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet")
    return folder


def _info(
    folder: Path, said: Mapping[str, Any], episodes: Sequence[Made], cameras: Mapping[str, tuple[int, int]]
) -> None:
    columns = episodes[0].actions.shape[1]
    features: dict[str, Any] = {
        key: {"dtype": "video", "shape": [*size, 3], "names": ["height", "width", "channels"]}
        for key, size in cameras.items()
    }
    names = [f"joint_{n}" for n in range(columns)]
    features["action"] = {"dtype": "float32", "shape": [columns], "names": names}
    (folder / "meta").mkdir(parents=True)
    info = {**said, "fps": FPS, "chunks_size": 1000, "total_episodes": len(episodes), "features": features}
    (folder / "meta" / "info.json").write_text(json.dumps(info))


def _rows(file: Path, episodes: Sequence[tuple[int, Made]]) -> None:
    actions = [list(row) for _, one in episodes for row in one.actions]
    index = [number for number, one in episodes for _ in one.actions]
    times = [np.float32(row / FPS) for _, one in episodes for row in range(len(one.actions))]
    file.parent.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {
        "action": pa.array(actions, pa.list_(pa.float32())),
        "episode_index": index,
        "timestamp": times,
    }
    if all(one.states is not None for _, one in episodes):
        states = [list(row) for _, one in episodes for row in one.states]
        columns["observation.state"] = pa.array(states, pa.list_(pa.float32()))
    pq.write_table(pa.table(columns), file)


def _film(file: Path, pictures: Sequence[np.ndarray]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = data_mp4(file, FPS)
    for one in pictures:
        writer.append_data(one)
    writer.close()
