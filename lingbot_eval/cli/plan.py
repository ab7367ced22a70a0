"""``lingbot-eval plan``: find the scenes that a benchmark's expert solves, or merge what was found."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from lingbot_eval.cli.places import content
from lingbot_eval.cli.run_suite import chosen_settings
from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.plain import say
from lingbot_eval.suites import suite_named, suites
from lingbot_eval.suites.machine import inspect
from lingbot_eval.suites.manifest import Manifest
from lingbot_eval.suites.scenes import manifest_of
from lingbot_eval.suites.suite import Asked


def with_scenes() -> list[str]:
    """Return the names of the benchmarks whose scenes are looked for."""
    return [suite.name for suite in suites() if suite.expert_finds_scenes]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("benchmark", help=" | ".join(with_scenes()))
    parser.add_argument("overrides", nargs="*", metavar="group.key=value", help="any setting of lingbot_eval/conf")
    parser.add_argument("--tasks", help="indices or names, comma-separated (default: all)")
    parser.add_argument("--group", type=int, help="a group of tasks, where the benchmark has them")
    parser.add_argument("--setting", help="easy | hard | both")
    parser.add_argument("--episodes", type=int, help="scenes per task and setting (default: the protocol's)")
    parser.add_argument("--protocol", help="its first seed and its split of the instructions")
    parser.add_argument("--seed", type=int, help="base seed (default: the protocol's)")
    parser.add_argument("--workers", type=int, help="simulators at the same time (default: 1)")
    parser.add_argument(
        "--merge", metavar="DIR", type=content, action="append", default=[], help="take over what another manifest has"
    )
    parser.set_defaults(agent="idle", suite=None, regime=None, video=None, gpus=None)


def run(given: argparse.Namespace) -> int:
    """Print what the manifest now holds of the wanted scenes.

    Raises BadInput, UnknownName, NotReady.
    """
    if given.benchmark not in with_scenes():
        raise UnknownName("benchmark with scenes to plan", given.benchmark, with_scenes())
    chosen, suite = chosen_settings(given), suite_named(given.benchmark)
    scenes = suite.scenes(suite, chosen.suite, chosen.protocol)
    machine = inspect(suite, chosen.env, draws=False, scenes=scenes)
    manifest = manifest_of(chosen.suite, machine)
    for source in given.merge:
        if not (Path(source) / "manifest.json").is_file():
            raise BadInput(f"{source} is no manifest: it has no manifest.json")
        say(f"{source}: {manifest.merge(Manifest(Path(source)))} auditions taken over")
    workers = chosen.workers or 1
    planned = suite.plan(suite, Asked(chosen.suite, chosen.protocol, machine, True, chosen.limits, workers))
    for task, setting in scenes:
        auditions = manifest.auditions(task, setting).values()
        outcomes = Counter(audition.outcome for audition in auditions)
        say(f"{task} {setting}: " + ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items())))
        for audition in auditions:
            if audition.outcome != "solved":
                say(f"  {audition.seed} {audition.outcome}: {audition.reason}")
    say(f"{manifest.folder}: {len(planned)} episodes can be played")
    return 0
