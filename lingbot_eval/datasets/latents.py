"""``lingbot-eval latents``: everything of a dataset that the VAE and the text encoder can be asked beforehand."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec
import torch
from torch import Tensor

from lingbot_eval.datasets.encoding import Batch, Job, Where, batches_of, encode, ids_of
from lingbot_eval.datasets.items import Place
from lingbot_eval.datasets.latent_files import EMPTY, padded, write_tensors
from lingbot_eval.datasets.lerobot import LeRobot, datasets_in
from lingbot_eval.datasets.made import Made, encoders_hash, read_made, write_made
from lingbot_eval.datasets.robots import settings_of
from lingbot_eval.datasets.segments import LEAST, in_bounds, latent_file, latent_frames
from lingbot_eval.datasets.wordings import read_texts, read_words, write_texts
from lingbot_eval.errors import BadInput, NotReady, Taken
from lingbot_eval.files import alone, made, unwritable
from lingbot_eval.models.lingbot_va.checkpoint import Checkpoint, locate
from lingbot_eval.models.lingbot_va.loading import load_text_encoder
from lingbot_eval.models.lingbot_va.text import TextEncoder
from lingbot_eval.settings import to_dict
from lingbot_eval.settings.robot import Robot

LINE_SECONDS = 10.0
"""Progress is told so often."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Counts:
    """How many segments came to what."""

    written: int
    there: int
    """They had latents of every camera already."""
    short: int
    """They fill no two latent frames, or lie outside of their episode, and were left out."""


@dataclass(frozen=True)
class Encoders:
    """Where the VAE and the text encoder come from and run."""

    checkpoint: Checkpoint
    name: str
    """As the checkpoint was asked for: workers ask again."""
    parts: str | None
    device: str
    dtype: str


def encoders_of(checkpoint: str, parts: str | None = None, device: str = "cpu", dtype: str | None = None) -> Encoders:
    """Find the encoders of a checkpoint, named as ``agent.checkpoint`` is. ``dtype``: float32 (default on a CPU) or
    bfloat16 (default elsewhere, the original's).

    Raises NotReady, BadCheckpoint and BadInput.
    """
    chosen = dtype or ("float32" if device == "cpu" else "bfloat16")
    if device != "cpu" and not torch.cuda.is_available():
        raise NotReady(f"--device {device}: torch sees no GPU here (--device cpu)")
    return Encoders(locate(checkpoint, parts), checkpoint, parts, device, chosen)


def write_latents(folder: Path, robot: Robot, encoders: Encoders | str, workers: int, tell: Tell) -> Counts:
    """Write what is missing of the latents of all datasets in ``folder``; what is there stays. It may be killed at any
    moment, and goes on when it is called again. ``encoders``: a checkpoint's name stands for its own, on the CPU.
    ``tell`` hears how it stands.

    Raises NotReady for what is missing, BadInput for a dataset that does not fit the robot or has latents that were
    made otherwise, Taken where another process is at it.
    """
    if isinstance(encoders, str):
        encoders = encoders_of(encoders)
    datasets = datasets_in(folder)
    with contextlib.ExitStack() as held:
        for dataset in datasets:
            held.enter_context(_opened(dataset, robot, encoders))
        todo, counts = _todo(datasets, robot)
        try:
            _write_texts(folder, datasets, encoders, tell)
            if todo:
                _encode_all(folder, datasets, todo, robot, encoders, workers, tell)
        except OSError as error:
            raise unwritable(folder, error, "what was written stays; give the command again") from None
    return counts


@contextlib.contextmanager
def _opened(dataset: LeRobot, robot: Robot, encoders: Encoders) -> Iterator[None]:
    """Hold a dataset's latents, and note by which robot and encoders they are made."""
    cameras = settings_of(robot).cameras.values()
    if missing := [camera for camera in cameras if camera not in dataset.cameras()]:
        raise BadInput(
            f"{dataset.folder} has no pictures of {', '.join(missing)}, which the robot {robot.name} has (it has: "
            f"{', '.join(dataset.cameras()) or 'none'}); --robot says which robot, and its settings.cameras which keys"
        )
    place = dataset.folder / "latents"
    try:
        made(place)
    except OSError as error:
        raise unwritable(place, error) from None
    if links := [one for one in (*place.glob("chunk-*"), *place.glob("chunk-*/*")) if one.is_symlink()]:
        raise BadInput(f"{links[0]} is a link; latents are written into folders of the dataset alone")
    taken = Taken(f"another process is writing to {place}")
    with alone(place / ".lock", taken, "latents are written where files can be locked"):
        now = Made(to_dict(robot), encoders_hash(encoders.checkpoint), encoders.dtype)
        before = read_made(dataset.folder)
        if before is None:
            if any(place.glob("chunk-*/*/*.pth")):
                raise BadInput(f"{place} has latents that another program made; remove them, or train on them as is")
            write_made(dataset.folder, now)
        elif differences := before.differences(now):
            raise BadInput(f"{place} was made otherwise: {'; '.join(differences)}; remove it, or say the same again")
        for part in place.glob("chunk-*/*/.episode_*.pth.*"):  # of who was killed while it wrote
            part.unlink(missing_ok=True)
        yield


def _todo(datasets: Sequence[LeRobot], robot: Robot) -> tuple[list[Where], Counts]:
    """Return the segments that have no latents yet, and what becomes of all."""
    cameras = list(settings_of(robot).cameras.values())
    todo: list[Where] = []
    there = short = 0
    for d, dataset in enumerate(datasets):
        for e, episode in enumerate(dataset.episodes):
            for s, segment in enumerate(episode.segments):
                place = Place(dataset, episode, segment)
                if not in_bounds(episode, segment) or latent_frames(ids_of(place, robot)) < LEAST:
                    short += 1
                elif all(latent_file(dataset, episode, segment, camera).is_file() for camera in cameras):
                    there += 1
                else:
                    todo.append((d, e, s))
    return todo, Counts(len(todo), there, short)


def _write_texts(folder: Path, datasets: Sequence[LeRobot], encoders: Encoders, tell: Tell) -> None:
    """Encode each sentence once, in any wording, and the empty one; those that are there are not read again."""
    wanted: dict[Path, list[str]] = {}
    known: dict[Path, dict[str, Tensor]] = {}
    for dataset in datasets:
        own = dict.fromkeys(segment.action_text for episode in dataset.episodes for segment in episode.segments)
        words = read_words(dataset.folder)
        others = [other for text in own for other in words.get(text, ())]
        known[dataset.folder] = read_texts(dataset.folder)
        wanted[dataset.folder] = [one for one in dict.fromkeys([*own, *others]) if one not in known[dataset.folder]]
    if not any(wanted.values()) and (folder / EMPTY).is_file():
        return
    tell(f"encoding {len(set().union(*wanted.values()))} sentences")
    device, dtype = torch.device(encoders.device), getattr(torch, encoders.dtype)
    encoder = load_text_encoder(encoders.checkpoint, dtype, device)
    tokenizer = encoders.checkpoint.parts / "tokenizer" / "tokenizer.json"
    text = TextEncoder(tokenizer, encoder, device=device, padded=True)
    for place, sentences in wanted.items():
        if sentences:
            write_texts(place, known[place] | {one: text.embed(one).bfloat16() for one in sentences})
    write_tensors(folder / EMPTY, padded(text.embed("")))


def _encode_all(
    folder: Path,
    datasets: Sequence[LeRobot],
    todo: Sequence[Where],
    robot: Robot,
    encoders: Encoders,
    workers: int,
    tell: Tell,
) -> None:
    batches = batches_of(datasets, todo, robot)
    workers = min(workers, len(batches))

    def job(share: int) -> Job:
        mine = batches[share::workers]
        places = (encoders.name, encoders.parts, encoders.device, encoders.dtype)
        return Job(str(folder), robot, *places, mine, os.getpid())

    progress = _Progress(len(todo), tell)
    if workers == 1:
        encode(job(0), progress.add)
    else:
        _in_processes([job(share) for share in range(workers)], progress.add)
    progress.say()


def _in_processes(jobs: Sequence[Job], add: Callable[[int], None]) -> None:
    """Run a worker per job; the first that fails ends all.

    Raises NotReady with its words.
    """
    command = [sys.executable, "-m", "lingbot_eval.datasets.encoding"]
    said: queue.Queue[bytes | None] = queue.Queue()
    running: list[subprocess.Popen[bytes]] = []
    listeners: list[threading.Thread] = []
    try:
        for job in jobs:
            with tempfile.TemporaryFile() as words:
                words.write(msgspec.json.encode(job))
                words.seek(0)
                process = subprocess.Popen(command, stdin=words, stdout=subprocess.PIPE)
            running.append(process)
            listeners.append(threading.Thread(target=_listen, args=(process.stdout, said), daemon=True))
            listeners[-1].start()
        left = len(running)
        while left:
            line = said.get()
            if line is None:
                left -= 1
                continue
            batch = msgspec.json.decode(line, type=Batch)
            if batch.error:
                raise NotReady(batch.error)
            add(batch.done)
        if bad := [process.wait() for process in running if process.wait()]:
            raise NotReady(f"a worker ended with status {bad[0]}; what was written stays, give the command again")
    finally:
        for process in running:
            process.kill()
            process.wait()
        for listener in listeners:
            listener.join()


def _listen(stream: IO[bytes] | None, said: queue.Queue[bytes | None]) -> None:
    if stream is not None:
        with stream:
            for line in stream:
                said.put(line)
    said.put(None)


class _Progress:
    """Tells how many of the segments are done, and how long the rest takes."""

    def __init__(self, total: int, tell: Tell) -> None:
        self._total, self._tell, self._done = total, tell, 0
        self._began = self._said = time.monotonic()

    def add(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._said >= LINE_SECONDS:
            self.say()

    def say(self) -> None:
        self._said = time.monotonic()
        rate = self._done / max(1e-9, self._said - self._began)
        left = (self._total - self._done) / rate if rate else float("inf")
        self._tell(f"{self._done}/{self._total} segments, {rate:.2f} per second, {left:.0f} s left")
