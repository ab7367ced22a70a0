"""``lingbot-eval``: what is there, what came out, is this machine ready; and checkpoints to try it with."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from lingbot_eval.agents import kind_names
from lingbot_eval.agents.lingbot_va.kind import require_lingbot
from lingbot_eval.cli import (
    card,
    collect,
    compare,
    dataset,
    diff,
    export,
    imagine,
    latents,
    make_base,
    plan,
    plots,
    report,
    status,
    train,
    trial,
    verify,
    view,
)
from lingbot_eval.cli.doctor import doctor
from lingbot_eval.cli.places import refused, text_place
from lingbot_eval.cli.screen import Screen
from lingbot_eval.errors import BadInput, LingbotEvalError, UnknownName
from lingbot_eval.models.lingbot_va.builtin import PREFIX, builtin_names
from lingbot_eval.plain import say
from lingbot_eval.reports.published import benchmarks, slugs
from lingbot_eval.suites import suites, unloadable
from lingbot_eval.suites.suite import Suite
from lingbot_eval.trials.rubric import shipped

Arguments = Callable[[argparse.ArgumentParser], None]
Command = Callable[[argparse.Namespace], int]

_WITH_SETTINGS = ("collect", "plan", "verify")
"""These commands take settings, group.key=value."""

_PLACE = "place of "
"""What flags of suites are kept under begins so, which no flag of a command does."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where all is fine; 1 where doctor found something missing, diff or verify a difference, or export left
    an episode out; 2 for bad input; 130 when interrupted; 141 when who read our output has closed it (``| head``), as a
    shell counts SIGPIPE."""
    try:
        given = _parsed(argv)
        ended: int = given.act(given)
        return ended
    except LingbotEvalError as error:
        say(f"lingbot-eval: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("lingbot-eval: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at the end
        return 141
    except OSError as error:  # what no command foresaw: a name too long, a disk that is full or gone
        say(f"lingbot-eval: {refused(error)}", file=sys.stderr)
        return 2


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line. Settings may stand between flags, which argparse does not allow in a subcommand."""
    parser = _parser()
    if any("\0" in word for word in argv or ()):
        raise BadInput("an argument contains a NUL character, which no name or path may have")
    given, rest = parser.parse_known_args(argv)
    if given.command in _WITH_SETTINGS and all("=" in word and not word.startswith("-") for word in rest):
        given.overrides += rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return given


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (lingbot-eval --help lists the commands)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="lingbot-eval", description="Look at suites, results and this machine; run-suite plays.")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, add_arguments: Arguments, act: Command, words: str) -> None:
        command = commands.add_parser(name, help=words)
        add_arguments(command)
        command.set_defaults(act=act)

    add("ls", _ls_arguments, ls, "suites, tasks, agents, checkpoints, protocols, published results, rubrics")
    add("status", status.add_arguments, status.status, "who plays in a run directory, how it stands, when it ends")
    add("report", report.add_arguments, report.report, "print runs' tables and write them to RUN/report")
    add("compare", compare.add_arguments, compare.run, "which differences between runs are real")
    add("diff", diff.add_arguments, diff.diff, "what differs between two runs; what can move a score first")
    add("verify", verify.add_arguments, verify.verify, "play a few recorded episodes again and compare")
    add("export", export.add_arguments, export.export, "a run in LeRobot's formats, or as Parquet")
    add("latents", latents.add_arguments, latents.latents, "encode a dataset's videos and sentences for post-training")
    add("dataset", dataset.add_arguments, dataset.dataset, "check a dataset before training; make its quantiles")
    add("collect", collect.add_arguments, collect.collect, "play a benchmark's expert, for a dataset to train on")
    add("plot", plots.add_arguments, plots.plot, "draw a run's rates and times, or a training's curve, to RUN/report")
    add("view", view.add_arguments, view.view, "a run's page in the browser, live while it goes on")
    add("plan", plan.add_arguments, plan.run, "find the scenes that a benchmark's expert solves")
    add("make-tiny", _tiny_arguments, tiny, "write a random LingBot-VA checkpoint: it plays, and cannot win")
    add("card", card.add_arguments, card.run, "a trained checkpoint's MODEL_CARD.md, with the rates of runs")
    add("make-base", make_base.add_arguments, make_base.run, "write a LingBot-VA checkpoint to train from nothing")
    add("imagine", imagine.add_arguments, imagine.imagine, "LingBot-VA's video and actions from pictures alone")
    add("trial", trial.add_arguments, trial.trial, "a real robot: plan trials, score them key by key")
    add("train", train.add_arguments, train.train, "post-train LingBot-VA on a dataset with latents")
    add("doctor", _doctor_arguments, _doctor, "is this machine ready; each line ok, or what to do")
    return parser


def _ls_arguments(parser: argparse.ArgumentParser) -> None:
    words = "suites | tasks | agents | checkpoints | protocols | published | rubrics (default: all)"
    parser.add_argument("what", nargs="?", default="all", help=words)


def _tiny_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", type=text_place)
    parser.add_argument("--mid", action="store_true", help="a larger one for CPU benchmarks (about 300 MB, not 5)")


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    words: dict[str, list[str]] = {}
    for suite in suites():
        for flag, (_, theirs) in suite.places.items():
            words.setdefault(flag, []).append(theirs.replace("%", "%%"))
    for flag, said in words.items():
        text = "; ".join(dict.fromkeys(said))
        parser.add_argument(f"--{flag}", dest=f"{_PLACE}{flag}", metavar="DIR", help=text)
    parser.add_argument("--checkpoint", metavar="DIR", help="a LingBot-VA checkpoint, as agent.checkpoint")
    parser.add_argument("--parts", metavar="DIR", help="of a checkpoint in LeRobot's layout, as agent.lingbot.parts")
    parser.add_argument("--python", metavar="FILE", help="the simulator's interpreter, as env.python")


def _doctor(given: argparse.Namespace) -> int:
    _say_unloadable()
    return doctor(Screen(), places_of(given), given.python, given.checkpoint, given.parts)


def places_of(given: argparse.Namespace) -> dict[str, str | None]:
    """Return what the flags of suites (``Suite.places``) say, by flag."""
    return {name[len(_PLACE) :]: value for name, value in vars(given).items() if name.startswith(_PLACE)}


def _say_unloadable() -> None:
    for words in unloadable():
        say(f"lingbot-eval: {words}", file=sys.stderr)


def ls(given: argparse.Namespace) -> int:
    """Print names, one per line."""
    what = given.what
    sections = {
        "suites": [f"{suite.name:8} {part}{_also(suite, part)}" for suite in suites() for part in suite.tasks],
        "tasks": [
            f"{part}  {index}  {task}"
            for suite in suites()
            for part, tasks in suite.tasks.items()
            for index, task in enumerate(tasks)
        ],
        "agents": list(kind_names()),
        "checkpoints": [f"{PREFIX}{name}" for name in builtin_names()],
        "protocols": [f"{suite.name:8} {name}" for suite in suites() for name in suite.protocol_names()],
        "published": [f"{suite:8} {name}" for suite in benchmarks() for name in slugs(suite)],
        "rubrics": shipped(),
    }
    if what != "all" and what not in sections:
        raise UnknownName("list", what, [*sections, "all"])
    if what in ("suites", "tasks", "protocols", "all"):
        _say_unloadable()
    for name, lines in sections.items():
        if what == "all":
            say(f"{name}:")
        if lines and what in (name, "all"):
            say("\n".join(f"  {line}" if what == "all" else line for line in lines))
    return 0


def tiny(given: argparse.Namespace) -> int:
    require_lingbot()
    from lingbot_eval.models.lingbot_va.tiny import make_tiny

    folder = Path(given.folder)
    make_tiny(folder, mid=given.mid)
    played = next(suite.name for suite in suites() if suite.post_training)
    say(f"{folder}: a random checkpoint; run-suite {played} --agent lingbot-va agent.checkpoint={folder}")
    return 0


def _also(suite: Suite, part: str) -> str:
    short = [alias for alias, parts in suite.aliases.items() if parts == (part,)]
    return f"  ({', '.join(short)})" if short else ""


if __name__ == "__main__":
    sys.exit(main())
