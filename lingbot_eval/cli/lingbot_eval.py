"""``lingbot-eval``: what is there, what came out, is this machine ready; and checkpoints to try it with."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from lingbot_eval.agents import AGENTS, require_lingbot
from lingbot_eval.cli import compare, diff, export, imagine, plan, plots, report, trial, verify, view
from lingbot_eval.cli.doctor import doctor
from lingbot_eval.cli.run_suite import SUITES
from lingbot_eval.envs.libero_tasks import ALIASES
from lingbot_eval.envs.libero_tasks import SUITES as LIBERO_SUITES
from lingbot_eval.errors import BadInput, LingbotEvalError, UnknownName
from lingbot_eval.reports.published import METHODS_IN, slugs
from lingbot_eval.settings import protocol_names
from lingbot_eval.suites.store import RunDirectory
from lingbot_eval.suites.tasks import TASKS
from lingbot_eval.trials.rubric import shipped


def main(argv: Sequence[str] | None = None) -> int:
    """0: fine; 1: doctor found something missing, diff or verify a difference, export left an episode out; 2: bad
    input; 130: interrupted; 141: who read our output has closed it (``| head``), as a shell counts SIGPIPE."""
    try:
        given = _parsed(argv)
        if given.command == "ls":
            return ls(given.what)
        if given.command == "report":
            return report.report(given)
        if given.command == "compare":
            return compare.run(given)
        if given.command == "diff":
            return diff.diff(given)
        if given.command == "verify":
            return verify.verify(given)
        if given.command == "export":
            return export.export(given)
        if given.command == "plot":
            return plots.plot(given)
        if given.command == "view":
            return view.view(RunDirectory(Path(given.run)), given.port)
        if given.command == "plan":
            return plan.run(given)
        if given.command == "make-tiny":
            return tiny(Path(given.folder), given.mid)
        if given.command == "imagine":
            return imagine.imagine(given)
        if given.command == "trial":
            return trial.trial(given)
        return doctor(Console(), given.assets, given.python, given.checkpoint, given.robotwin)
    except LingbotEvalError as error:
        print(f"lingbot-eval: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lingbot-eval: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at the end
        return 141


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Settings may stand between flags, which argparse does not allow in a command of its own."""
    parser = _parser()
    given, rest = parser.parse_known_args(argv)
    if given.command in ("plan", "verify") and all("=" in word and not word.startswith("-") for word in rest):
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
    listing = commands.add_parser("ls", help="suites, tasks, agents, protocols, published results, rubrics")
    listing.add_argument(
        "what",
        nargs="?",
        default="all",
        help="suites | tasks | agents | protocols | published | rubrics (default: all)",
    )
    report.add_arguments(commands.add_parser("report", help="print runs' tables and write them to RUN/report"))
    compare.add_arguments(commands.add_parser("compare", help="which differences between runs are real"))
    diff.add_arguments(commands.add_parser("diff", help="what differs between two runs; what can move a score first"))
    verify.add_arguments(commands.add_parser("verify", help="play a few recorded episodes again and compare"))
    export.add_arguments(commands.add_parser("export", help="a run in LeRobot's formats, or as Parquet"))
    plots.add_arguments(commands.add_parser("plot", help="draw rates, curves and times to RUN/report, as SVG and PNG"))
    view.add_arguments(commands.add_parser("view", help="a run's page in the browser, live while it goes on"))
    plan.add_arguments(commands.add_parser("plan", help="robotwin, tabletop: find the scenes that their experts solve"))
    random = commands.add_parser("make-tiny", help="write a random LingBot-VA checkpoint: it plays, and cannot win")
    random.add_argument("folder", metavar="DIR")
    random.add_argument("--mid", action="store_true", help="a larger one for CPU benchmarks (about 300 MB, not 5)")
    imagine.add_arguments(commands.add_parser("imagine", help="LingBot-VA's video and actions from pictures alone"))
    trial.add_arguments(commands.add_parser("trial", help="a real robot: plan trials, score them key by key"))
    check = commands.add_parser("doctor", help="is this machine ready; each line ok, or what to do")
    check.add_argument("--assets", metavar="DIR", help="LIBERO's assets, as env.assets")
    check.add_argument("--checkpoint", metavar="DIR", help="a LingBot-VA checkpoint, as agent.checkpoint")
    check.add_argument("--robotwin", metavar="DIR", help="a RoboTwin checkout, as env.root")
    check.add_argument("--python", metavar="FILE", help="the simulator's interpreter, as env.python")
    return parser


def ls(what: str) -> int:
    """Print names, one per line."""
    sections = {
        "suites": [
            *(f"libero   {name}{_also(name)}" for name in LIBERO_SUITES),
            *(f"{name:8} {name}" for name in ("robotwin", "tabletop", "toy")),
        ],
        "tasks": [f"{suite}  {index}  {task}" for suite, tasks in TASKS.items() for index, task in enumerate(tasks)],
        "agents": list(AGENTS),
        "protocols": [f"{suite:8} {name}" for suite in SUITES for name in protocol_names(suite)],
        "published": [f"{suite:8} {name}" for suite in METHODS_IN for name in slugs(suite)],
        "rubrics": shipped(),
    }
    if what != "all" and what not in sections:
        raise UnknownName("list", what, [*sections, "all"])
    for name, lines in sections.items():
        if what == "all":
            print(f"{name}:")
        if what in (name, "all"):
            print("\n".join(f"  {line}" if what == "all" else line for line in lines))
    return 0


def tiny(folder: Path, mid: bool) -> int:
    require_lingbot()
    from lingbot_eval.agents.lingbot.tiny import make_tiny

    make_tiny(folder, mid=mid)
    print(f"{folder}: a random checkpoint; run-suite libero --agent lingbot-va agent.checkpoint={folder}")
    return 0


def _also(suite: str) -> str:
    short = [alias for alias, full in ALIASES.items() if full == suite]
    return f"  ({', '.join(short)})"


if __name__ == "__main__":
    sys.exit(main())
