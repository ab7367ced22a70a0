"""Record demonstrations of tabletop, in one play each and in small pictures.

    python examples/train_tabletop/record.py OUT --setting easy --episodes N [--tasks NAMES] [--block N] [--workers N]

OUT is a LeRobotDataset of version 2.1 with pictures in its rows. The same command goes on where it was killed.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import multiprocessing
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from demonstrator import BEAT, Anew, Demonstrator, Done
from PIL import Image as Canvas

from lingbot_eval.envs import tabletop
from lingbot_eval.envs.robotwin.poses import Array
from lingbot_eval.envs.robotwin.spec import CAMERAS, CHANNELS
from lingbot_eval.envs.tabletop.expert import SIDES, Expert
from lingbot_eval.envs.tabletop.task import UnStableError
from lingbot_eval.errors import LingbotEvalError
from lingbot_eval.exports.dataset import CHUNK, LAYOUTS, lines_of
from lingbot_eval.files import write_whole
from lingbot_eval.models.lingbot_va.columns import columns
from lingbot_eval.models.lingbot_va.configuration import load_benchmark
from lingbot_eval.plain import say
from lingbot_eval.suites.training import FIRST_SEED
from lingbot_eval.types import Image

SIZE = (120, 160)
"""Rows and columns of a picture, half of what is played: a look takes two fifths of the time."""

SEEDS = 100_000
"""A task has so many of a block's."""

TRIED = 20
"""Scenes for one episode, of which the first that succeeds is taken."""

CACHED = 5
"""SAPIEN's cache of meshes is cleared so often."""

CARRIED = ("place_on_pad", "stack_two")
"""In these a hand comes down a second time."""

BENCHMARK = "robotwin"
"""Whose names of cameras and columns are used."""

ABOUT = "episodes"
"""Folder of what is known of each episode that is there."""

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""LeRobot's, of a picture in a row."""

ASTRAY = 0.5
"""So often hands go astray."""

LEARNT = 2
"""Latent frames that are learnt from, at least, behind those that are given."""

LAYOUT = LAYOUTS["2.1"]

RATE = 17
"""Rows per second, which say nothing: a command takes as long as it needs."""


@dataclass(frozen=True)
class Scenes:
    """Where the demonstrations of a setting come from."""

    setting: str
    block: int
    """Of training scenes: those of two blocks are not the same."""
    first_chunk: bool = False
    """No more than the first chunk is played: most of what is hard to learn, for less than half of the time."""

    def first(self, task: str) -> int:
        """Return the seed from which a task's scenes are taken, one after another."""
        return FIRST_SEED + (self.block * len(tabletop.TASKS) + tabletop.TASKS.index(task)) * SEEDS


@dataclass(frozen=True)
class Played:
    """A demonstration: n commands, and 1 + n looks."""

    looks: list[list[Image]]
    """The head's, the left wrist's and the right one's."""
    states: list[Array]
    """(16,) as commands are."""
    commands: list[Array]
    """(16,) in the world frame; quaternions w first."""
    given: int
    """So many of the commands led astray."""
    sentence: str

    @property
    def rows(self) -> int:
        """Return how many rows make whole latent frames, and enough of them to learn from, with what was seen last."""
        learnt = LEARNT if self.given else 1
        frames = max(-(-len(self.commands) // BEAT), self.given // BEAT + learnt)
        return frames * BEAT + 1


def played(task: Any, seed: int, setting: str, first_chunk: bool = False) -> Played | None:
    """Have the scene of a seed demonstrated, or no more of it than the ``first_chunk``, which leads to where a model
    looks again; return None where the expert did not succeed, or the scene is none."""
    try:
        task.setup_demo(0, seed, setting=setting, pictures=True)
    except UnStableError:
        return None
    dice = np.random.default_rng([seed, 2])
    shown = Played([], [], [], 0, "")

    def look() -> None:
        seen = task.get_obs()
        shown.looks.append([seen["observation"][camera]["rgb"] for camera in CAMERAS.values()])
        ends = seen["endpose"]
        shown.states.append(
            np.concatenate([[*ends[f"{side}_endpose"], ends[f"{side}_gripper"]] for side in SIDES]).astype(np.float32)
        )

    def command(one: Array) -> bool:
        shown.commands.append(one.astype(np.float32))
        task.take_action(one, "ee")
        look()
        return bool(task.eval_success) or (first_chunk and len(shown.commands) == BEAT)

    look()
    hovers = 2 if task.name in CARRIED else 1
    astray = int(dice.integers(hovers)) if not first_chunk and dice.random() < ASTRAY else None
    expert = task.expert = Demonstrator(task, command, dice, astray)
    try:
        _play(task)
    except Done:
        poses = {side: arm.pose for side, arm in task.arms.items()}
        task.expert = Expert(lambda command: None, poses, task.scene.table)  # it moves nothing, and the task says words
        words = task.play_once()["info"]
        task.close_env(clear_cache=seed % CACHED == 0)
        if task.plan_failures == 0 and (astray is None or 0 < expert.given < len(shown.commands)):
            sentence = str(dice.choice(tabletop.sentences(task.name, words)["seen"]))
            return replace(shown, given=expert.given, sentence=sentence)
    else:
        task.close_env(clear_cache=seed % CACHED == 0)
    return None


def _play(task: Any) -> None:
    try:
        task.play_once()
    except Anew:
        task.play_once()


def write_rows(file: Path, shown: Played, number: int, cameras: Sequence[str]) -> None:
    """Write an episode's rows; behind the last command it is held, and so is what was seen."""
    count = shown.rows
    rows = np.arange(count)
    looks, ends = np.minimum(rows, len(shown.looks) - 1), np.minimum(rows, len(shown.commands) - 1)
    table: dict[str, Any] = {
        "observation.state": _vectors(np.stack(shown.states)[looks]),
        "action": _vectors(np.stack(shown.commands)[ends]),
        "timestamp": (rows / RATE).astype(np.float32),
        "frame_index": rows,
        "episode_index": np.full(count, number),
    }
    for k, camera in enumerate(cameras):
        files = [_png(look[k]) for look in shown.looks]
        table[camera] = pa.array([{"bytes": files[n], "path": None} for n in looks], PICTURE)
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(table), buffer, compression="none")  # of pictures that are compressed
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, buffer.getvalue().to_pybytes())


def _vectors(values: npt.NDArray[np.float32]) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _png(picture: Image) -> bytes:
    content = io.BytesIO()
    Canvas.fromarray(picture).save(content, "png", compress_level=1)
    return content.getvalue()


def record(out: Path, scenes: Scenes, tasks: Sequence[str], episodes: int, share: tuple[int, int]) -> None:
    """Record every n-th episode that is missing; ``share`` is (which, n)."""
    cameras = list(load_benchmark(BENCHMARK).cameras.values())
    players: dict[str, Any] = {}
    wanted = [(k, task) for k in range(episodes) for task in tasks]  # all tasks early, for whoever looks meanwhile
    for k, name in wanted[share[0] :: share[1]]:
        number = tasks.index(name) * episodes + k
        place = out / ABOUT / f"{number:06d}.json"
        if place.exists():
            continue
        task = players.setdefault(name, tabletop.task_class(name)())
        task.size = SIZE
        for seed in itertools.count(scenes.first(name) + k * TRIED):
            if (shown := played(task, seed, scenes.setting, scenes.first_chunk)) is not None:
                break
        write_rows(out / LAYOUT.data_file(number), shown, number, cameras)
        given = {"given": shown.given} if shown.given else {}
        segment = {"start_frame": 0, "end_frame": shown.rows, "action_text": shown.sentence, **given}
        said = {"episode_index": number, "tasks": [shown.sentence], "length": shown.rows, "action_config": [segment]}
        said |= {"suite": "tabletop", "task": name, "setting": scenes.setting, "seed": seed}
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps(said).encode())


def describe(out: Path) -> int:
    """Write ``meta`` of the episodes that are there; return how many they are."""
    said = [json.loads(file.read_text()) for file in sorted((out / ABOUT).glob("*.json"))]
    texts = {one["tasks"][0]: one["task"] for one in said}
    others = {text: tabletop.wordings(task, text) for text, task in sorted(texts.items())}
    features: dict[str, Any] = {
        camera: {"dtype": "image", "shape": [*SIZE, 3], "names": ["height", "width", "channels"]}
        for camera in load_benchmark(BENCHMARK).cameras.values()
    }
    command = [column.name for column in columns(BENCHMARK, CHANNELS)]
    for key, names in (("observation.state", None), ("action", command)):
        features[key] = {"dtype": "float32", "shape": [len(CHANNELS)], "names": names}
    features["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    for key in ("frame_index", "episode_index"):
        features[key] = {"dtype": "int64", "shape": [1], "names": None}
    info = {
        "codebase_version": LAYOUT.version,
        "robot_type": None,
        "total_episodes": len(said),
        "total_frames": sum(one["length"] for one in said),
        "total_tasks": len(texts),
        "chunks_size": CHUNK,
        "fps": RATE,
        "splits": {"train": f"0:{len(said)}"},
        "data_path": LAYOUT.data,
        "video_path": None,
        "features": features,
    }
    meta = out / "meta"
    meta.mkdir(parents=True, exist_ok=True)
    write_whole(meta / "tasks.jsonl", lines_of({"task_index": n, "task": text} for n, text in enumerate(texts)))
    write_whole(meta / "wordings.jsonl", lines_of({"text": text, "others": them} for text, them in others.items()))
    write_whole(meta / "episodes.jsonl", lines_of(said))
    write_whole(meta / "info.json", json.dumps(info, indent=4).encode() + b"\n")
    return len(said)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--setting", choices=("easy", "hard"), required=True)
    parser.add_argument("--episodes", type=int, required=True, help="per task")
    parser.add_argument("--tasks", default=",".join(tabletop.TASKS), help="names, comma-separated (default: all)")
    parser.add_argument("--block", type=int, default=0, help="of training scenes, which no other block has")
    parser.add_argument("--first-chunk", action="store_true", help="play no more than leads to the second look")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args(words)
    tasks, scenes = given.tasks.split(","), Scenes(given.setting, given.block, given.first_chunk)
    try:
        for task in tasks:
            tabletop.task_class(task)
        jobs = [
            multiprocessing.get_context("spawn").Process(
                target=record, args=(given.out, scenes, tasks, given.episodes, (n, given.workers))
            )
            for n in range(given.workers)
        ]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
        if any(job.exitcode for job in jobs):
            return 1
        say(f"{given.out}: {describe(given.out)} episodes")
    except LingbotEvalError as error:
        say(str(error), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
