"""``lingbot-eval collect BENCHMARK --episodes N --out DIR``: demonstrations to train on (``docs/collect.md``).

It is run-suite, export and latents, one after another. Each goes on where it was stopped, and so does this.

    DIR/run/                     the run directory
    DIR/meta/ data/ videos/      the dataset, a LeRobotDataset of version 2.1, once all was played again
    DIR/latents/                 what LingBot-VA is trained on, where --checkpoint says what encodes
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

from lingbot_eval.agents import kind_of
from lingbot_eval.agents.lingbot_va.kind import require_lingbot
from lingbot_eval.cli import export, latents, run_suite
from lingbot_eval.cli.places import text_place
from lingbot_eval.datasets.lerobot import LeRobot
from lingbot_eval.datasets.robots import load_robot, robot_names, settings_of
from lingbot_eval.errors import BadInput
from lingbot_eval.plain import say
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.settings import RunSettings
from lingbot_eval.settings.agent import ExpertSettings
from lingbot_eval.settings.pace import AS_IT_IS, NO_PATH
from lingbot_eval.suites import suite_named, training
from lingbot_eval.suites.suite import Asked, Suite
from lingbot_eval.types import Episode, Outcome

VERSION = "2.1"
"""The version of LeRobot's layout that LingBot-VA's post-training reads."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("benchmark", metavar="BENCHMARK", help="as of run-suite (lingbot-eval ls suites)")
    parser.add_argument("overrides", nargs="*", metavar="group.key=value", help="any setting of run-suite")
    parser.add_argument("--episodes", metavar="N", type=int, required=True, help="per task and setting")
    parser.add_argument("--out", metavar="DIR", type=text_place, required=True, help="the dataset's folder")
    parser.add_argument("--agent", metavar="NAME", default="expert", help="who shows it: expert (default)")
    for flag, words in _PASSED.items():
        parser.add_argument(f"--{flag}", metavar="NAMES", help=words)
    parser.add_argument(
        "--seed", metavar="BLOCK", type=int, default=0, help="another block of training scenes (default: 0)"
    )
    parser.add_argument(
        "--commands-per-frame",
        metavar="N",
        type=int,
        help="of a latent frame of the model to be trained: at an episode's end the last command is repeated until its "
        "commands are whole frames (default: the robot's)",
    )
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="simulators that play at once (default: 1)")
    parser.add_argument("--checkpoint", metavar="DIR", help="encodes pictures and words; without it, no latents")
    parser.add_argument("--robot", metavar="NAME", help="as of lingbot-eval latents (default: the benchmark's name)")


_PASSED = {
    "suite": "parts of the benchmark, as of run-suite",
    "tasks": "indices or names, comma-separated (default: all)",
    "setting": "easy | hard | both",
    "protocol": "preset of conventions",
}
"""These flags are run-suite's."""


def collect(given: argparse.Namespace) -> int:
    """Return 0; 1 where an episode ended in ERROR, or not as recorded when it was played again.

    Raises BadInput, UnknownName, NotReady, RunMismatch and CorruptRecords.
    """
    export.require_pyarrow("collect")
    out, suite = Path(given.out), suite_named(given.benchmark)
    _check_place(out)
    if given.checkpoint:
        _check_encoders(given, suite)
    words = _words(given, suite, out / "run")
    chosen = run_suite.chosen_settings(run_suite.parsed(words))
    _check(suite, chosen)
    fills = _commands_per_frame(given, suite)
    words += ["--seed", str(training.base_seed(chosen.protocol, given.seed))]
    if not suite.expert_finds_scenes:
        seeded = run_suite.chosen_settings(run_suite.parsed(words))
        training.refuse_evaluated(suite.plan(suite, Asked(seeded.suite, seeded.protocol)))
    folder, planned = run_suite.play(run_suite.parsed(words), words)
    training.refuse_evaluated(planned)
    missing = _without_result(folder, planned) + _dataset(folder, out, given.workers, fills)
    if given.checkpoint:
        _latents(out, given, suite)
    say(out)
    return int(missing > 0)


def _check_place(out: Path) -> None:
    """Raise BadInput for a folder with anything in it that we did not begin."""
    begun = (out / "run" / "run.json").exists()
    if out.exists() and not begun and any(entry.name != "run" for entry in out.iterdir()):
        raise BadInput(f"{out} is not empty, and nothing was collected there; choose another --out DIR")


def _check_encoders(given: argparse.Namespace, suite: Suite) -> None:
    """Find what will encode, before hours of play. Raises UnknownName, BadInput, NotReady and BadCheckpoint."""
    require_lingbot()
    from lingbot_eval.datasets.latents import encoders_of

    load_robot(_robot(given, suite))
    encoders_of(given.checkpoint)


def _robot(given: argparse.Namespace, suite: Suite) -> str:
    return given.robot or suite.name


def _words(given: argparse.Namespace, suite: Suite, run: Path) -> list[str]:
    """Return what run-suite is told, but for the seed."""
    flags = {name: getattr(given, name) for name in ("agent", *_PASSED, "episodes", "workers")}
    words = [given.benchmark]
    for name, value in flags.items():
        words += [] if value is None else [f"--{name}", str(value)]
    settings = [f"{name}={value}" for name, value in suite.to_collect.items()]
    return [*words, "--video", "off", "--out", str(run), "actions=true", *settings, *given.overrides]


def _check(suite: Suite, chosen: RunSettings) -> None:
    """Raise BadInput for an agent that shows nothing to learn from, or not so."""
    if not kind_of(chosen.agent).privileged:
        raise BadInput(f"--agent {chosen.agent.name}: demonstrations are a suite's expert's (--agent expert)")
    pace = chosen.agent.pace if isinstance(chosen.agent, ExpertSettings) else AS_IT_IS
    if not pace.usual and not suite.expert_finds_scenes:
        raise BadInput(f"{pace}: {suite.name}{NO_PATH}")


def _without_result(folder: RunDirectory, planned: Sequence[Episode]) -> int:
    """Say how the episodes ended; return how many have no result."""
    final = folder.records().final()
    ends = [final[episode.id].outcome for episode in planned if episode.id in final]
    won, lost = ends.count(Outcome.SUCCESS), ends.count(Outcome.FAILURE)
    say(f"{folder.path}: {won} of {len(planned)} shown, {lost} failed, {len(planned) - won - lost} without a result")
    return len(planned) - won - lost


def _commands_per_frame(given: argparse.Namespace, suite: Suite) -> int:
    asked: int | None = given.commands_per_frame
    if asked is None:
        if not given.robot and suite.name not in robot_names():
            return 1
        robot = load_robot(_robot(given, suite))  # what has no poses may be told differences, of which none is repeated
        return settings_of(robot).commands_per_frame if robot.relative else 1
    if asked < 1:
        raise BadInput(f"--commands-per-frame {asked}: a latent frame has at least one command")
    return asked


def _dataset(folder: RunDirectory, out: Path, workers: int, fills: int) -> int:
    """Write the dataset, if it is not whole; return how many episodes were left out."""
    if (out / "meta" / "info.json").exists():
        return _lacking(folder, out)
    from lingbot_eval.exports import lerobot

    tell = functools.partial(say, file=sys.stderr)
    return lerobot.write(folder, lerobot.Form(VERSION, fills), {Outcome.SUCCESS}, out, tell, workers)


def _lacking(folder: RunDirectory, out: Path) -> int:
    """Say, and return, how many episodes were won and are not in the dataset, which is whole: they were left out, or
    played later."""
    won = sum(record.outcome is Outcome.SUCCESS for record in folder.records().final().values())
    if lacking := won - len(LeRobot(out).episodes):
        say(
            f"{out} lacks {lacking} of the {won} episodes that were won, since it was written without them; to try "
            "again, remove its meta, data, videos and latents, and give the same command"
        )
    return lacking


def _latents(out: Path, given: argparse.Namespace, suite: Suite) -> None:
    parser = argparse.ArgumentParser()
    latents.add_arguments(parser)
    words = [str(out), "--checkpoint", given.checkpoint, "--robot", _robot(given, suite)]
    latents.latents(parser.parse_args([*words, "--workers", str(given.workers)]))
