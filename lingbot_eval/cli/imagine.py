"""``lingbot-eval imagine``: what would LingBot-VA do from these pictures, and what would it see?"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lingbot_eval.agents.lingbot_va.kind import require_lingbot
from lingbot_eval.cli.places import place
from lingbot_eval.errors import BadInput, NotReady, UnknownName
from lingbot_eval.models.lingbot_va.columns import Column, columns, commands_per_second, presets
from lingbot_eval.plain import say
from lingbot_eval.types import Image, Imagined
from lingbot_eval.videos import mp4, read_picture, resized, titled

if TYPE_CHECKING:
    from lingbot_eval.agents.lingbot_va.session import Commands
    from lingbot_eval.reports.curves import Curve

PLAIN_RATE = 10.0
"""The video has so many pictures per second where the robot's command rate is unknown."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", required=True, metavar="DIR", help="a folder, or owner/name@COMMIT of the hub")
    parser.add_argument("--parts", metavar="DIR", help="of a checkpoint in LeRobot's layout, as agent.lingbot.parts")
    parser.add_argument(
        "--image", required=True, action="append", metavar="CAMERA=FILE", help="the first picture; once per camera"
    )
    parser.add_argument("--prompt", required=True, help="the instruction")
    parser.add_argument("--chunks", type=int, default=10, help="how many to imagine (default: 10, upstream's example)")
    parser.add_argument(
        "--out", required=True, metavar="DIR", type=place, help="for video.mp4, actions.csv and actions.png"
    )
    default, *others = presets()
    words = f"{' | '.join((f'{default} (default)', *others))}; the checkpoint's own win"
    parser.add_argument("--settings", default=default, help=words)
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16", help="default: bfloat16")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")


def imagine(given: argparse.Namespace) -> int:
    """Raises BadInput, NotReady and BadCheckpoint; nothing is computed before what was given is known to fit."""
    require_lingbot()
    if importlib.util.find_spec("matplotlib") is None:
        raise NotReady("actions.png needs matplotlib: pip install -c constraints.txt -e '.[lingbot]'")
    from lingbot_eval.agents.lingbot_va.imagine import decoded
    from lingbot_eval.agents.lingbot_va.imagine import imagine as rollout_of
    from lingbot_eval.agents.lingbot_va.sessions import Sessions
    from lingbot_eval.models.lingbot_va.checkpoint import locate
    from lingbot_eval.models.lingbot_va.configuration import load_benchmark, overridden

    if given.chunks < 1:
        raise BadInput(f"--chunks must be at least 1, got {given.chunks}")
    if not 0 <= given.seed < 2**63:
        raise BadInput(f"--seed {given.seed} is not in 0..{2**63 - 1}")
    chosen, _ = overridden(load_benchmark(given.settings), locate(given.checkpoint, given.parts).settings)
    pictures = read_pictures(given.image, list(chosen.cameras))
    out = _empty_folder(Path(given.out))
    sessions = Sessions.from_pretrained(
        given.checkpoint, load_benchmark(given.settings), parts=given.parts, dtype=given.dtype, device=given.device
    )
    rollout = rollout_of(sessions, pictures, given.prompt, given.chunks, seed=given.seed)
    model = sessions.model
    rate = commands_per_second(given.settings)
    named = columns(given.settings, model.settings.channels)
    write_csv(out / "actions.csv", rollout.commands, named, model.settings.frames, rate)
    title = f"LingBot-VA: {textwrap.shorten(given.prompt, 80)!r}"
    plot_commands(out / "actions.png", title, rollout.commands, named, model.settings.frames, rate)
    looks = rate / model.settings.commands_per_look if rate else PLAIN_RATE
    write_video(out / "video.mp4", decoded(model, rollout), looks)
    for name in ("video.mp4", "actions.csv", "actions.png"):
        say(out / name)
    return 0


def read_pictures(given: Sequence[str], cameras: Sequence[str]) -> dict[str, Image]:
    """Read each ``CAMERA=FILE``; return pictures (H, W, 3) by camera, in the settings' order.

    Raises UnknownName and BadInput.
    """
    files: dict[str, Path] = {}
    for text in given:
        name, equals, file = text.partition("=")
        if not equals:
            raise BadInput(f"--image {text!r} is not CAMERA=FILE (cameras: {', '.join(cameras)})")
        if name not in cameras:
            raise UnknownName("camera", name, cameras)
        if name in files:
            raise BadInput(f"two pictures of camera {name}: {files[name]} and {file}")
        files[name] = Path(file)
    if missing := [name for name in cameras if name not in files]:
        raise BadInput(f"no --image of {', '.join(missing)} (cameras: {', '.join(cameras)}; --settings chooses them)")
    return {name: read_picture(files[name]) for name in cameras}


def write_csv(
    file: Path, commands: Commands, named: Sequence[Column], frames: int, commands_per_second: float | None
) -> None:
    """Write a row per command, in order of time; those of the given frame 0 are left out, as they lead nowhere.

    ``chunk`` counts from 1, ``frame`` is the latent frame, ``command`` counts from 0, ``seconds`` is when it starts,
    empty where the rate is unknown.
    """
    per_frame = commands.shape[2]
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["chunk", "frame", "command", "seconds", *(f"{c.name} [{c.unit}]" for c in named)])
        for command, values in enumerate(_in_order(commands)):
            frame = 1 + command // per_frame
            seconds = command / commands_per_second if commands_per_second else ""
            writer.writerow([1 + frame // frames, frame, command, seconds, *map(str, values)])


def plot_commands(
    file: Path, title: str, commands: Commands, named: Sequence[Column], frames: int, commands_per_second: float | None
) -> None:
    """Draw a panel per group of channels, over time."""
    from lingbot_eval.reports.curves import plot

    values, per_frame = _in_order(commands), commands.shape[2]
    panels: dict[str, dict[str, Curve]] = {}
    for column, curve in zip(named, values.T, strict=True):
        panels.setdefault(f"{column.group} [{column.unit}]", {})[column.name] = curve
    scale = 1 / commands_per_second if commands_per_second else 1.0
    starts = [max(0, chunk * frames - 1) * per_frame * scale for chunk in range(commands.shape[1] // frames)]
    marks = [(start, f"chunk {chunk + 1}") for chunk, start in enumerate(starts)]
    label = "seconds" if commands_per_second else "command"
    plot(file, title, panels, np.arange(len(values)) * scale, label, marks)


def write_video(file: Path, looks: Iterable[Imagined], rate: float) -> None:
    """Write a film of all cameras side by side, in the size of the first."""
    writer = mp4(file, rate)
    for look in looks:
        first = next(iter(look.images.values()))
        same = {name: resized(view, first) for name, view in look.images.items()}
        writer.append_data(titled("imagined", same, look.caption))
    writer.close()


def _in_order(commands: Commands) -> Commands:
    """Turn (n_used, F, A) into (F A - A, n_used), without the commands of frame 0."""
    return commands[:, 1:].reshape(len(commands), -1).T


def _empty_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadInput(f"{folder} is not empty; nothing is overwritten")
    except OSError as error:
        raise BadInput(f"cannot write to {folder}: {error.strerror}") from None
    return folder
