"""Train the VAE on the looks of demonstrations.

    python examples/train_tabletop/train_vae.py DATA OUT --robot ROBOT [--recipe FILE.yaml]

OUT/vae is what ``lingbot-eval make-base --vae`` takes; OUT/looked.png shows what is held out above what the VAE makes
of it. The same command goes on where it was killed.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio
import numpy as np
import numpy.typing as npt
import torch
import yaml
from looks import PER_FRAME, Looks, Shown, open_looks, write_looks
from torch import Tensor
from vae import Batch, Learnt, Settings, config

from lingbot_eval.datasets.robots import load_robot, settings_of
from lingbot_eval.errors import Diverged, LingbotEvalError
from lingbot_eval.files import folder_whole, unwritable, write_whole
from lingbot_eval.models.lingbot_va.tiny import write_part
from lingbot_eval.models.lingbot_va.vision import Vision
from lingbot_eval.plain import say
from lingbot_eval.settings import as_struct
from lingbot_eval.settings.lingbot_va import LingBotSettings
from lingbot_eval.training import optimizer, state
from lingbot_eval.training.draws import generator
from lingbot_eval.training.ranks import Ranks

ALONE = Ranks(0, 1, 1, torch.device("cpu"))

SHORT = 0.6
"""Share of the steps whose stretches have one latent frame behind the first; the others have two."""

LEAST_DEVIATION = 0.05
"""Metres and the like: a column of commands that hardly moves is not blown up."""

SHOWN = 17
"""Looks of a held-out episode, at most."""

NORMALISED = 256
"""Over so many episodes a latent channel's mean and deviation are taken."""


class Training:
    """Each step's chance follows from its number, so that a training that goes on draws the same."""

    def __init__(self, settings: Settings, looks: Looks, model: LingBotSettings) -> None:
        self.settings, self.looks, self.model = settings, looks, model
        area = (model.height + model.height // 2) * model.width // 256
        self.learnt = Learnt(settings, area, looks.commands.shape[1])
        for value in self.learnt.parameters():
            if value.dim() == 5:  # of convolutions; a third less time on a CPU
                value.data = value.data.contiguous(memory_format=torch.channels_last_3d)
        self._parameters = dict(self.learnt.named_parameters())
        self._adamw = optimizer.adamw(self._parameters, settings.optimizer)
        self._average = optimizer.Average(self._parameters, settings.optimizer.average or 0.0)
        for value in self._parameters.values():  # moments, now, as the first step would make them
            zeros = (torch.zeros_like(value.detach()) for _ in range(2))
            self._adamw.state[value] = dict(
                zip(("step", "exp_avg", "exp_avg_sq"), (torch.zeros(()), *zeros), strict=True)
            )
        self._taught = [one for one in looks.episodes if not one.kept]
        told = np.concatenate([looks.commands[one.first : one.first + one.count] for one in self._taught])
        self._middle, self._deviation = told.mean(axis=0), told.std(axis=0) + LEAST_DEVIATION

    def step(self, number: int) -> dict[str, float]:
        """Take step ``number``, from 0; return the losses. Raises Diverged where one is no number."""
        dice = generator(0, "vae", number)
        losses = self.learnt.losses(self._batch(dice), self.settings, dice)
        torch.stack(list(losses.values())).sum().backward()
        norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), self.settings.optimizer.clip)
        if not torch.isfinite(norm):
            raise Diverged(f"step {number}: gradient norm {float(norm):g}; a smaller optimizer.rate may help")
        optimizer.set_rate(self._adamw, optimizer.rate(self.settings.optimizer, number, self.settings.steps))
        self._adamw.step()
        self._adamw.zero_grad()
        self._average.follow(number + 1)
        return {name: value.item() for name, value in losses.items()}

    def tensors(self) -> dict[str, Tensor]:
        """Return all that a training goes on from, besides the number of its steps."""
        found: dict[str, Tensor] = {}
        for name, value in self._parameters.items():
            moments = self._adamw.state[value]
            found[f"weights.{name}"], found[f"average.{name}"] = value.detach(), self._average.values[name]
            found[f"first.{name}"], found[f"second.{name}"] = moments["exp_avg"], moments["exp_avg_sq"]
        return found

    def resume(self, step: int) -> None:
        """Say that ``step`` steps are done, now that :meth:`tensors` were filled."""
        for value in self._parameters.values():
            self._adamw.state[value]["step"].fill_(float(step))

    @contextmanager
    def averaged(self) -> Iterator[Vision]:
        """Give what encodes and decodes with the average of the weights, as play does."""
        self._average.exchange()
        try:
            yield Vision(self.learnt.vae, self.model, torch.float32, torch.device("cpu"))
        finally:
            self._average.exchange()

    def _batch(self, dice: torch.Generator) -> Batch:
        frames, count = (1, self.settings.batch) if torch.rand((), generator=dice) < SHORT else (2, self._fewer())
        looks = 1 + PER_FRAME * frames
        long_enough = [one for one in self._taught if one.count >= looks]
        firsts, lasts = [], []
        for n in torch.randint(len(long_enough), (count,), generator=dice).tolist():
            one = long_enough[n]
            places = (one.count - looks) // PER_FRAME + 1
            firsts.append(one.first + PER_FRAME * int(torch.randint(places, (), generator=dice)))
            lasts.append(one.first + one.count - 1)
        streams = [torch.cat([self.looks.pixels(name, first, looks) for first in firsts]) for name in ("main", "wrist")]
        told = np.stack([self._told(first, last, frames) for first, last in zip(firsts, lasts, strict=True)])
        return Batch(streams[0], streams[1], torch.from_numpy(told))

    def _fewer(self) -> int:
        return max(1, self.settings.batch * 2 // 3)

    def _told(self, first: int, last: int, frames: int) -> npt.NDArray[np.float32]:
        """Return (1 + frames, 4 D); behind an episode's end its last command is held."""
        rows = np.minimum(first + np.arange(PER_FRAME * (frames + 1)), last)
        scaled = (self.looks.commands[rows] - self._middle) / self._deviation
        return scaled.reshape(frames + 1, -1).astype(np.float32)


def look(training: Training) -> tuple[dict[str, float], npt.NDArray[np.uint8]]:
    """Return the PSNR (dB) on what is held out by setting and camera, and a picture of it: each second row is what the
    VAE makes of the row above."""
    errors: dict[str, list[float]] = {}
    rows = []
    with training.averaged() as vision:
        for one in _looked_at(training):
            images = {
                name: view[:SHOWN] for name, view in training.looks.images(one, list(training.model.cameras)).items()
            }
            whole = vision.decode(encoded_whole(vision, images))
            for name, made in vision.apart(whole).items():
                error = float(np.square(made - images[name] / np.float32(255)).mean())
                errors.setdefault(f"{one.setting} {name}", []).append(error)
            rows += [_strip(_joined(images)), _strip((whole * 255).round().astype(np.uint8))]
    widest = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, widest - row.shape[1]), (0, 0))) for row in rows]
    return {name: round(-10 * float(np.log10(np.mean(one))), 2) for name, one in errors.items()}, np.concatenate(padded)


def encoded_whole(vision: Vision, images: dict[str, npt.NDArray[np.uint8]]) -> Tensor:
    """Return (1, z_dim, 1 + n, h, w) of an episode's pictures (1 + 4 n, H, W, 3) by camera."""
    memory: dict[str, list[Any]] = {}
    parts = [{name: view[rows] for name, view in images.items()} for rows in (slice(0, 1), slice(1, None))]
    return torch.cat([vision.encode(part, memory) for part in parts], dim=2)


def _looked_at(training: Training) -> list[Shown]:
    """Return held-out episodes of each setting, evenly over its tasks, which lie one after another."""
    found = []
    for setting in sorted({one.setting for one in training.looks.episodes}):
        kept = [one for one in training.looks.episodes if one.kept and one.setting == setting]
        count = min(len(kept), training.settings.looked_at)
        found += [kept[n * len(kept) // count] for n in range(count)]
    return found


def _joined(images: dict[str, npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    head, left, right = images.values()
    return np.concatenate([np.concatenate([left, right], axis=2), head], axis=1)


def _strip(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(T, H, W, 3) -> (2 H, 2 W n, 3): every second picture, twice as large."""
    return np.concatenate(list(pictures[::2]), axis=1).repeat(2, axis=0).repeat(2, axis=1)


def train(training: Training, out: Path) -> None:
    """Raises Diverged, NotReady for a full disk, and CorruptRecords for a damaged state."""
    settings, done, begun = training.settings, _resumed(training, out / "state"), time.monotonic()
    start, recent = done, list[dict[str, float]]()
    while done < settings.steps:
        recent.append(training.step(done))
        done += 1
        if done % settings.look_every == 0 or done == settings.steps:
            heard = {name: round(float(np.mean([one[name] for one in recent])), 4) for name in recent[0]}
            ratios, picture = look(training)
            left = (time.monotonic() - begun) / (done - start) * (settings.steps - done)
            say(f"step {done} of {settings.steps}, {left / 60:.0f} min left: {heard}; held out, dB: {ratios}")
            _write_png(out / "looked.png", picture)
            _add_line(out / "looked.jsonl", {"step": done, "dB": ratios})
            recent.clear()
        if done % settings.save_every == 0 or done == settings.steps:
            as_files_have_them = {name: value.contiguous() for name, value in training.tensors().items()}
            state.save(out / "state", done, 0, as_files_have_them, ALONE)


def _resumed(training: Training, folder: Path) -> int:
    """Go on from the last state; return how many steps are done."""
    if not folder.exists() or not (there := state.saved(folder)):
        return 0
    tensors = training.tensors()
    read = {name: torch.empty(value.shape) for name, value in tensors.items()}
    state.load(there[0], read)
    for name, value in tensors.items():
        value.copy_(read[name])
    training.resume(there[0].step)
    return there[0].step


def _write_png(file: Path, picture: npt.NDArray[np.uint8]) -> None:
    content = io.BytesIO()
    imageio.imwrite(content, picture, format="png")
    write_whole(file, content.getvalue())


def _add_line(file: Path, said: dict[str, Any]) -> None:
    """Add a line; those of steps that are done anew give way."""
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    kept = [line for line in lines if line["step"] < said["step"]]
    write_whole(file, "".join(f"{json.dumps(line)}\n" for line in [*kept, said]).encode())


def write(training: Training, folder: Path) -> None:
    """Write the VAE with the average of the weights, so that each channel of its latents has mean 0 and deviation 1."""
    taught = [one for one in training.looks.episodes if not one.kept]
    some = taught[:: -(-len(taught) // NORMALISED)]
    with training.averaged() as vision:
        cameras = list(training.model.cameras)
        latents = [encoded_whole(vision, training.looks.images(one, cameras)) for one in some]
        values = torch.cat(
            [one.transpose(0, 1).reshape(training.settings.z_dim, -1) for one in latents], dim=1
        ).double()
        scaled = {"latents_mean": values.mean(dim=1).tolist(), "latents_std": values.std(dim=1).tolist()}
        said = {"_class_name": "AutoencoderKLWan", **config(training.settings), **scaled}
        tensors = {name: value.contiguous() for name, value in training.learnt.vae.state_dict().items()}
        with folder_whole(folder) as part:
            write_part(part / "vae", "diffusion_pytorch_model", said, tensors)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="a dataset, or a folder of several")
    parser.add_argument("out", type=Path)
    parser.add_argument("--robot", default="tabletop")
    parser.add_argument("--recipe", type=Path, default=Path(__file__).with_name("recipe.yaml"), help="its key vae")
    given = parser.parse_args(words)
    try:
        run(given.data, given.out, given.robot, as_struct(yaml.safe_load(given.recipe.read_text())["vae"], Settings))
    except LingbotEvalError as error:
        say(str(error), file=sys.stderr)
        return 2
    except OSError as error:
        say(str(unwritable(given.out, error)), file=sys.stderr)
        return 2
    return 0


def run(data: Path, out: Path, name: str, settings: Settings) -> None:
    robot = load_robot(name)
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "looks").exists():
        blank = Learnt(settings, 1, 1).vae
        vision = Vision(blank, settings_of(robot), torch.float32, torch.device("cpu"))
        write_looks(out / "looks", data, robot, vision, settings.episodes, settings.held_out, say)
    training = Training(settings, open_looks(out / "looks"), settings_of(robot))
    train(training, out)
    write(training, out / "vae")
    say(out / "vae")


if __name__ == "__main__":
    sys.exit(main())
