"""A small LeRobot dataset with latents of chance, as tabletop's robot has them; nothing is decoded or encoded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from lingbot_eval.datasets.latent_files import EMPTY, padded, write_tensors
from lingbot_eval.datasets.lerobot import datasets_in
from lingbot_eval.datasets.robots import load_robot, settings_of
from lingbot_eval.datasets.segments import frame_ids, latent_file, latent_frames
from lingbot_eval.datasets.wordings import write_texts

WIDTH = 32
"""Of the tiny checkpoint's texts."""

TASKS = ("press_button", "push_to_line")


def write_dataset(folder: Path, episodes: int = 8, text_width: int = WIDTH) -> Path:
    """Write ``folder``: half of the episodes have two latent frames, the others three."""
    rows = [5 + 4 * (n % 2) for n in range(episodes)]
    meta = folder / "meta"
    meta.mkdir(parents=True)
    robot = load_robot("tabletop")
    cameras = list(settings_of(robot).cameras.values())
    video = {"dtype": "video", "shape": [64, 96, 3]}
    numbers = {"dtype": "float32", "shape": [16], "names": None}
    info = {
        "codebase_version": "v2.1",
        "fps": 10,
        "chunks_size": 1000,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/{video_key}/episode_{episode_index:06d}.mp4",
        "features": {"action": numbers, "observation.state": numbers, **dict.fromkeys(cameras, video)},
    }
    (meta / "info.json").write_text(json.dumps(info))
    with (meta / "episodes.jsonl").open("w") as lines:
        for n, count in enumerate(rows):
            task = TASKS[n // 2 % 2]
            said = {"suite": "tabletop", "task": task, "setting": "easy"}
            print(json.dumps({"episode_index": n, "length": count, "tasks": [f"do {task}"], **said}), file=lines)
    (meta / "wordings.jsonl").write_text(
        "".join(json.dumps({"text": f"do {task}", "others": [f"please {task}"]}) + "\n" for task in TASKS)
    )
    _write_rows(folder, rows)
    _write_latents(folder, cameras, text_width)
    return folder


def _write_rows(folder: Path, rows: list[int]) -> None:
    dice = np.random.default_rng(0)
    for n, count in enumerate(rows):
        actions = dice.normal(size=(count, 16)).astype(np.float32)
        columns = {"action": list(actions), "observation.state": list(actions + 0.01)}
        table = pa.table({"episode_index": np.full(count, n), **columns})
        file = folder / f"data/chunk-000/episode_{n:06d}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, file)


def _write_latents(folder: Path, cameras: list[str], width: int) -> None:
    dice = torch.Generator().manual_seed(0)
    sentences = [f"{start} {task}" for task in TASKS for start in ("do", "please")]
    texts = {words: torch.randn(3, width, generator=dice) for words in sentences}
    (dataset,) = datasets_in(folder)
    for episode in dataset.episodes:
        for segment in episode.segments:
            ids = frame_ids(segment, 1, "hold")
            frames = latent_frames(ids)
            for camera, (rows, columns) in zip(cameras, ((4, 6), (2, 3), (2, 3)), strict=True):
                content = {
                    "latent": torch.randn(frames * rows * columns, 48, generator=dice).bfloat16(),
                    "latent_num_frames": frames,
                    "latent_height": rows,
                    "latent_width": columns,
                    "text_emb": padded(texts[segment.action_text]),
                    "text": segment.action_text,
                    "frame_ids": ids,
                }
                write_tensors(latent_file(dataset, episode, segment, camera), content)
    write_texts(folder, texts)
    write_tensors(folder / EMPTY, padded(torch.randn(1, width, generator=dice)))
