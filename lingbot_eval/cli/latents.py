"""``lingbot-eval latents DATASET --checkpoint DIR``: what post-training reads besides the rows."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from lingbot_eval.agents.lingbot_va.kind import require_lingbot
from lingbot_eval.cli.places import content, text_place
from lingbot_eval.datasets.robots import robot_names
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.plain import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    words = "a LeRobot dataset (2.0, 2.1, 3.0), or a folder of several"
    parser.add_argument("dataset", metavar="DATASET", type=content, help=words)
    parser.add_argument("--checkpoint", required=True, metavar="DIR", type=text_place, help="as agent.checkpoint")
    parser.add_argument("--parts", metavar="DIR", help="of a checkpoint in LeRobot's layout, as agent.lingbot.parts")
    add_robot(parser)
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="processes that encode (default: 1)")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    words = "default: float32 on a CPU, else bfloat16; what is written is bfloat16"
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help=words)


def add_robot(parser: argparse.ArgumentParser) -> None:
    words = f"{' | '.join(robot_names())} | FILE.yaml (default: the one that its latents were made for)"
    parser.add_argument("--robot", metavar="NAME", help=words)


def latents(given: argparse.Namespace) -> int:
    """Raises BadInput, NotReady, Taken and BadCheckpoint."""
    require_lingbot()
    require_pyarrow()
    if given.workers < 1:
        raise BadInput(f"--workers must be at least 1, got {given.workers}")
    from lingbot_eval.datasets.latents import encoders_of, write_latents
    from lingbot_eval.datasets.made import robot_for

    folder = Path(given.dataset)
    robot = robot_for(folder, given.robot)
    encoders = encoders_of(given.checkpoint, given.parts, given.device, given.dtype)
    counts = write_latents(folder, robot, encoders, given.workers, lambda words: say(words, file=sys.stderr))
    say(f"{folder}: {counts.written} segments encoded for the robot {robot.name}, {counts.there} were there")
    if counts.short:
        say(f"{counts.short} left out: too short for two latent frames, or outside of their episode")
    return 0


def require_pyarrow() -> None:
    if importlib.util.find_spec("pyarrow") is None:
        raise NotReady("LeRobot's datasets are read with pyarrow: pip install 'lingbot_eval[export]'")
