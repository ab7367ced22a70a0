"""``lingbot-eval plan``: find the scenes of RoboTwin or tabletop that their experts solve, or merge what was found."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from lingbot_eval.cli.places import content
from lingbot_eval.cli.run_suite import BIMANUAL, chosen_settings
from lingbot_eval.cli.scenes import manifest_of, scenes_of, with_scenes
from lingbot_eval.envs.check import inspect
from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.plain import say
from lingbot_eval.suites.manifest import Manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("benchmark", help=" | ".join(BIMANUAL))
    parser.add_argument("overrides", nargs="*", metavar="group.key=value", help="any setting of lingbot_eval/conf")
    parser.add_argument("--tasks", help="indices or names, comma-separated (default: all)")
    parser.add_argument("--group", type=int, help="robotwin: one of LingBot-VA's seven groups of tasks, 0..6")
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
    if given.benchmark not in BIMANUAL:
        raise UnknownName("benchmark with scenes to plan", given.benchmark, BIMANUAL)
    chosen = chosen_settings(given)
    machine = inspect(chosen.env, draws=False, scenes=scenes_of(chosen))
    manifest = manifest_of(chosen, machine)
    for source in given.merge:
        if not (Path(source) / "manifest.json").is_file():
            raise BadInput(f"{source} is no manifest: it has no manifest.json")
        say(f"{source}: {manifest.merge(Manifest(Path(source)))} auditions taken over")
    planned = with_scenes(chosen, machine, search=True)
    for task, setting in scenes_of(chosen):
        auditions = manifest.auditions(task, setting).values()
        outcomes = Counter(audition.outcome for audition in auditions)
        say(f"{task} {setting}: " + ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items())))
        for audition in auditions:
            if audition.outcome != "solved":
                say(f"  {audition.seed} {audition.outcome}: {audition.reason}")
    say(f"{manifest.folder}: {len(planned)} episodes can be played")
    return 0
