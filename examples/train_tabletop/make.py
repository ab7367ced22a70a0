"""From nothing to a checkpoint that plays tabletop.

    python examples/train_tabletop/make.py OUT [--small] [--workers N]

Each stage is a command, which is printed and may be given alone. The same command goes on where it was killed.

    OUT/data/                       demonstrations of the expert, in scenes that are never evaluated
    OUT/tabletop.yaml               what their columns mean, with their quantiles
    OUT/vae/                        the VAE, and how it came about
    OUT/base/                       the VAE, a text encoder and an untrained transformer
    OUT/training/checkpoint/        what is played
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from lingbot_eval.envs.vulkan import probe
from lingbot_eval.errors import BadInput, LingbotEvalError
from lingbot_eval.files import write_whole
from lingbot_eval.plain import say

HERE = Path(__file__).parent

ROBOT = "tabletop"

LINGBOT_EVAL = (sys.executable, "-m", "lingbot_eval.cli.lingbot_eval")


@dataclass(frozen=True)
class Stage:
    name: str
    command: tuple[str, ...]
    made: Path | None = None
    """Where it is there, the stage is over; None: the command finds out itself, and does nothing twice."""


def stages(out: Path, recipe: Path, workers: int) -> list[Stage]:
    said = yaml.safe_load(recipe.read_text())
    data, robot, vae, base = out / "data", out / "tabletop.yaml", out / "vae" / "vae", out / "base"
    train_vae = _words(sys.executable, HERE / "train_vae.py", data, out / "vae", "--robot", robot, "--recipe", recipe)
    spread = ("--spread", said["spread"])
    places = (f"robot={robot}", f"data={data}", f"checkpoint={base}", f"out={out / 'training'}")
    return [
        *_recording(data, said, workers),
        Stage("stats", _ours("dataset", "stats", data, "--robot", ROBOT, *spread, "--out", robot), robot),
        Stage("vae", train_vae, vae),
        Stage("base", _ours("make-base", base, "--vae", vae, *_flags(said["base"]), *_vocabulary(data, said)), base),
        Stage("latents", _ours("latents", data, "--checkpoint", base, "--robot", robot, "--workers", workers)),
        Stage("check", _ours("dataset", "check", data, "--robot", robot)),
        Stage("train", _training(said["train"], workers) + _words("train=tabletop", *places, *said["train"])),
    ]


def _recording(data: Path, said: Mapping[str, Any], workers: int) -> list[Stage]:
    rest = ("--tasks", ",".join(said["tasks"]), "--workers", workers)
    return [
        Stage(
            f"record {folder}",
            _words(sys.executable, HERE / "record.py", data / folder, *_flags(values), *rest),
            data / folder / "meta" / "info.json",
        )
        for folder, values in said["record"].items()
    ]


def _training(values: Sequence[str], workers: int) -> tuple[str, ...]:
    """Return what trains: with several micro-batches a step, a process for each of them where there are cores, which
    computes the same as one alone (``docs/training.md``)."""
    micro_batches = next((int(one.split("=")[1]) for one in values if one.startswith("micro_batches=")), 1)
    if workers < micro_batches or micro_batches == 1:
        return _ours("train")
    several = ("-m", "torch.distributed.run", "--nproc-per-node", micro_batches, "-m", "lingbot_eval.cli.train")
    return _words(sys.executable, *several)


def _vocabulary(data: Path, said: Mapping[str, Any]) -> list[object]:
    """Return where the text encoder's words are from: the demonstrations, and all that tabletop ever says. A word that
    is kept for evaluation is a token of its own, too, but none that was trained on."""
    places = [
        *(data / folder for folder in said["record"]),
        resources.files("lingbot_eval.envs.tabletop") / "tasks.yaml",
    ]
    return [word for place in places for word in ("--words", place)]


def _ours(*words: object) -> tuple[str, ...]:
    return (*LINGBOT_EVAL, *_words(*words))


def _words(*words: object) -> tuple[str, ...]:
    return tuple(map(str, words))


def _flags(values: Mapping[str, object]) -> list[object]:
    """``name: true`` is the flag alone."""
    return [word for name, value in values.items() for word in (f"--{name}", value)[: 1 if value is True else 2]]


def play(stage: Stage, out: Path) -> int:
    """Do a stage that is not over, and note how long it took; return its exit status."""
    if stage.made is not None and stage.made.exists():
        return 0
    say(f"\n== {stage.name}\n$ {shlex.join(_short(stage.command))}")
    begun = time.monotonic()
    status = subprocess.run(stage.command, check=False).returncode
    with (out / "seconds.csv").open("a") as lines:
        lines.write(f"{stage.name},{time.monotonic() - begun:.0f},{status}\n")
    return status


def _short(command: Sequence[str]) -> list[str]:
    ours = len(LINGBOT_EVAL)
    return ["lingbot-eval", *command[ours:]] if tuple(command[:ours]) == LINGBOT_EVAL else ["python", *command[1:]]


def same_recipe(out: Path, recipe: Path) -> Path:
    """Keep the recipe that ``out`` was begun with. Raises BadInput for another one."""
    kept = out / "recipe.yaml"
    if not kept.exists():
        write_whole(kept, recipe.read_bytes())
    if kept.read_bytes() != recipe.read_bytes():
        raise BadInput(f"{out} was begun with another recipe, {kept}; choose another folder, or --recipe {kept}")
    return kept


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", type=Path, default=HERE / "recipe.yaml")
    parser.add_argument("--small", action="store_true", help="small.yaml: every stage in minutes; it cannot win")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(words)
    try:
        probe()
        given.out.mkdir(parents=True, exist_ok=True)
        recipe = same_recipe(given.out, HERE / "small.yaml" if given.small else given.recipe)
    except LingbotEvalError as error:
        say(str(error), file=sys.stderr)
        return 2
    for stage in stages(given.out, recipe, given.workers):
        if status := play(stage, given.out):
            say(f"{stage.name} ended with status {status}; the same command goes on from here", file=sys.stderr)
            return status
    checkpoint = given.out / "training" / "checkpoint"
    say(f"\n{checkpoint} is done. Play it, and put its rates on its card:")
    run = given.out / "run"
    say(f"$ run-suite tabletop --agent lingbot-va agent.checkpoint={checkpoint} --setting both --out {run}")
    say(f"$ lingbot-eval card {checkpoint} {run}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
