"""``lingbot-eval dataset check | stats DIR``: is a dataset fit to be trained on, and what are its quantiles."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from lingbot_eval import files
from lingbot_eval.agents.lingbot_va.kind import require_lingbot
from lingbot_eval.cli.latents import add_robot, require_pyarrow
from lingbot_eval.cli.places import content, text_place
from lingbot_eval.errors import BadInput, NotReady, UnknownName
from lingbot_eval.plain import say

VERBS = ("check", "stats")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("verb", metavar="check|stats", help="check: what is wrong, in lines; stats: q01 and q99")
    parser.add_argument("dataset", metavar="DIR", type=content, help="a LeRobot dataset, or a folder of several")
    add_robot(parser)
    words = "stats: q01 and q99 are at least so far apart, so that a constant column is not blown up (default: 0)"
    parser.add_argument("--spread", metavar="X", type=float, default=0.0, help=words)
    parser.add_argument("--out", metavar="FILE.yaml", type=text_place, help="stats: a robot for --robot and train")


def dataset(given: argparse.Namespace) -> int:
    """Return 0; 1 where check found something wrong. Raises BadInput, UnknownName and NotReady."""
    if given.verb not in VERBS:
        raise UnknownName("verb", given.verb, VERBS)
    require_pyarrow()
    return check(given) if given.verb == "check" else stats(given)


def check(given: argparse.Namespace) -> int:
    require_lingbot()
    from lingbot_eval.datasets.check_latents import check_latents
    from lingbot_eval.datasets.check_rows import check_commands, check_dataset
    from lingbot_eval.datasets.findings import Findings
    from lingbot_eval.datasets.lerobot import datasets_in
    from lingbot_eval.datasets.made import robot_for

    folder, found = Path(given.dataset), Findings()
    robot, datasets = robot_for(folder, given.robot), datasets_in(folder)
    for one in datasets:
        check_dataset(one, robot, found)
    check_commands(datasets, robot, found)
    check_latents(folder, datasets, robot, found)
    for line in found.notes():
        say(f"note: {line}")
    for line in found.wrongs():
        say(f"wrong: {line}")
    count = sum(len(episode.segments) for one in datasets for episode in one.episodes)
    if not found.wrongs():
        say(f"{folder}: {count} segments, as the robot {robot.name} has them: nothing is wrong")
    return int(bool(found.wrongs()))


def stats(given: argparse.Namespace) -> int:
    from lingbot_eval.datasets.made import robot_for
    from lingbot_eval.datasets.stats import as_yaml, with_quantiles

    if not 0 <= given.spread < math.inf:
        raise BadInput(f"--spread {given.spread} is no distance; it must be 0 or more")
    if given.out and not given.out.endswith(".yaml"):
        raise BadInput(f"--out {given.out} must end in .yaml, as --robot takes it")
    folder = Path(given.dataset)
    robot = robot_for(folder, given.robot)
    text = as_yaml(with_quantiles(folder, robot, given.spread, Path(given.out).stem if given.out else robot.name))
    if not given.out:
        say(text, end="")
        return 0
    try:
        files.write_whole(Path(given.out), text.encode())
    except OSError as error:
        raise NotReady(f"cannot write {given.out}: {error.strerror}") from None
    say(given.out)
    return 0
