"""What can be wrong with the files of latents of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lingbot_eval.datasets.findings import Findings
from lingbot_eval.datasets.items import Place
from lingbot_eval.datasets.latent_files import EMPTY, TEXT_ROWS, Latents, read_latents, read_tensors
from lingbot_eval.datasets.lerobot import LeRobot
from lingbot_eval.datasets.made import read_made
from lingbot_eval.datasets.robots import settings_of
from lingbot_eval.datasets.segments import in_bounds, latent_file, latent_frames
from lingbot_eval.datasets.wordings import read_texts, read_words, texts_file
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.settings.lingbot_va import PIXELS_PER_LATENT, LingBotSettings
from lingbot_eval.settings.robot import Robot


def check_latents(folder: Path, datasets: Sequence[LeRobot], robot: Robot, found: Findings) -> None:
    """Look at every file of latents, and at the text of ""."""
    _check_empty(folder, datasets, found)
    for dataset in datasets:
        _check_made(dataset, robot, found)
        _check_wordings(dataset, found)
        for camera, size in sizes(settings_of(robot)).items():
            _check_camera(dataset, camera, size, robot, found)


def sizes(settings: LingBotSettings) -> dict[str, tuple[int, int]]:
    """Return the rows and columns of each camera's latents, by its key in datasets."""
    rows, columns = settings.height // PIXELS_PER_LATENT, settings.width // PIXELS_PER_LATENT
    head, *others = settings.cameras.values()
    half = (rows // 2, columns // 2) if settings.layout == "tshape" else (rows, columns)
    return {head: (rows, columns), **dict.fromkeys(others, half)}


def _check_empty(folder: Path, datasets: Sequence[LeRobot], found: Findings) -> None:
    file = next((one for one in (folder / EMPTY, datasets[0].folder / EMPTY) if one.is_file()), folder / EMPTY)
    try:
        text = read_tensors(file)
    except (BadInput, NotReady) as error:
        found.wrong(f'the text of "": {error}')
        return
    if not isinstance(text, Tensor) or text.dim() != 2 or len(text) != TEXT_ROWS:
        found.wrong(f"{file} is no matrix of {TEXT_ROWS} rows, which the original's attention takes")


def _check_made(dataset: LeRobot, robot: Robot, found: Findings) -> None:
    try:
        before = read_made(dataset.folder)
    except BadInput as error:
        found.wrong(str(error))
        return
    if before is not None:
        for line in before.differences(before.of(robot)):
            found.wrong(f"{dataset.folder}: the latents were made for another robot: {line}")


def _check_wordings(dataset: LeRobot, found: Findings) -> None:
    try:
        read_words(dataset.folder)
        texts = read_texts(dataset.folder)
    except BadInput as error:
        found.wrong(str(error))
        return
    if bad := [words for words, text in texts.items() if text.dim() != 2 or not torch.isfinite(text).all()]:
        found.wrong(f"{texts_file(dataset.folder)}: the text of {bad[0]!r} is no matrix of numbers")


def _check_camera(dataset: LeRobot, camera: str, size: tuple[int, int], robot: Robot, found: Findings) -> None:
    missing = total = 0
    for episode in dataset.episodes:
        for segment in episode.segments:
            if not in_bounds(episode, segment):
                continue
            total += 1
            place = Place(dataset, episode, segment)
            file = latent_file(dataset, episode, segment, camera)
            where = f"episode {episode.index}, rows {segment.start_frame}..{segment.end_frame}, {camera}"
            try:
                _check_file(read_latents(file), place, size, robot, where, found)
            except NotReady:
                missing += 1
            except BadInput as error:
                found.wrong(str(error))
    if missing:
        there = dataset.cameras()
        videos = "" if camera in there else f", nor has it such pictures (it has: {', '.join(there) or 'none'})"
        found.wrong(f"{dataset.folder}: {missing} of {total} segments have no latents of {camera}{videos}")


def _check_file(one: Latents, place: Place, size: tuple[int, int], robot: Robot, where: str, found: Findings) -> None:
    folder = place.dataset.folder
    if len(one.text) != TEXT_ROWS:
        found.wrong(f"{folder}: text_emb has {len(one.text)} rows, not the {TEXT_ROWS} that the original takes", where)
    if not torch.isfinite(one.latent).all() or not torch.isfinite(one.text).all():
        found.wrong(f"{folder}: latents or text have what is no number", where)
    frames, *seen = one.latent.shape[:3]
    if tuple(seen) != size:
        words = f"latents of {seen[0]} x {seen[1]}, and the robot {robot.name} has {size[0]} x {size[1]}"
        found.wrong(f"{folder}: {words}", where)
    if frames != latent_frames(one.frame_ids):
        words = f"{frames} latent frames of {len(one.frame_ids)} pictures, which make {latent_frames(one.frame_ids)}"
        found.wrong(f"{folder}: {words}", where)
    text = one.said.get("text", place.segment.action_text)
    if text != place.segment.action_text:
        found.wrong(f"{folder}: the text that was encoded is another than the segment's", where)
    _check_ids(one, place, robot, where, found)


def _check_ids(one: Latents, place: Place, robot: Robot, where: str, found: Findings) -> None:
    folder, segment, steps = place.dataset.folder, place.segment, set(np.diff(one.frame_ids).tolist())
    if len(steps) > 1 or min(steps) < 1:
        found.wrong(f"{folder}: frame_ids are not evenly spaced", where)
        return
    stride, wanted = steps.pop(), settings_of(robot).commands_per_look
    if stride != wanted:
        found.wrong(f"{folder}: pictures are {stride} rows apart, and the robot {robot.name} has {wanted}", where)
    inside = segment.start_frame <= one.frame_ids[0] < segment.end_frame
    if not inside or (robot.tail == "cut" and one.frame_ids[-1] >= segment.end_frame):
        found.wrong(f"{folder}: frame_ids {one.frame_ids[0]}..{one.frame_ids[-1]} leave the segment", where)
    rates = one.said.get("ori_fps", place.dataset.fps), one.said.get("fps", place.dataset.fps / stride)
    if rates[0] != place.dataset.fps:
        found.wrong(f"{folder}: latents are of {rates[0]} rows per second, the dataset of {place.dataset.fps:g}", where)
    elif not all(isinstance(rate, (int, float)) for rate in rates) or abs(rates[0] / stride - rates[1]) > 1:
        found.wrong(f"{folder}: every {stride}th of {rates[0]} pictures per second are not {rates[1]}", where)
