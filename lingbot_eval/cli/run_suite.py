"""``run-suite``: plan, play, record, report."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn

from lingbot_eval.agents import kind_names, kind_of
from lingbot_eval.cli.places import refused, text_place
from lingbot_eval.cli.progress import Progress
from lingbot_eval.cli.report import write_report
from lingbot_eval.cli.screen import Screen, screen
from lingbot_eval.errors import BadInput, LingbotEvalError
from lingbot_eval.plain import say
from lingbot_eval.runs.compose import Choices, choose
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.evaluation import Evaluation, prepare
from lingbot_eval.runs.lanes import EpisodeUpdate
from lingbot_eval.runs.plan import plan_hash, remaining, shard
from lingbot_eval.runs.status import StatusReader
from lingbot_eval.settings import RunSettings, to_dict
from lingbot_eval.suites import suite_named, suite_names, suites, unloadable
from lingbot_eval.suites.suite import Asked
from lingbot_eval.trackers import tracking
from lingbot_eval.types import Episode, Outcome


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where every planned episode was played, 1 where some ended in ERROR, 2 for bad input, 130 when
    interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return run(arguments)
    except LingbotEvalError as error:
        say(f"run-suite: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("run-suite: interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return 130
    except OSError as error:  # what nothing foresaw: a name too long, a disk that is full or gone
        say(f"run-suite: {refused(error)}", file=sys.stderr)
        return 2


def run(arguments: list[str]) -> int:
    given = parsed(arguments)
    if given.dry_run:
        return _dry_run(chosen_settings(given), given)
    folder, mine = play(given, arguments)
    final = write_report(folder)
    played = {id for id, record in final.items() if record.outcome is not Outcome.ERROR}
    return int(any(episode.id not in played for episode in mine))  # NFS may not show a record yet


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line. Raises BadInput."""
    if any("\0" in word for word in arguments):
        raise BadInput("an argument contains a NUL character, which no name or path may have")
    return _parser().parse_intermixed_args(arguments)


def play(
    given: argparse.Namespace, arguments: Sequence[str], quiet: bool = False
) -> tuple[RunDirectory, Sequence[Episode]]:
    """Play what ``given`` asks for; return the run directory, and those of its episodes that were asked for.

    ``arguments`` are what was ``parsed``; they are kept for whoever wants to go on with the run.
    """
    evaluation = prepare(chosen_settings(given), given.rehash)
    episodes = evaluation.episodes(search=True)
    folder = RunDirectory(Path(given.out) if given.out else evaluation.folder)
    mine = episodes if given.shard is None else shard(episodes, given.shard)
    folder.open(evaluation.experiment, episodes)
    _play(folder, evaluation, mine, arguments, quiet)
    return folder, mine


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (run-suite --help lists the options)")


def _parser() -> argparse.ArgumentParser:
    known = suites()

    def listed(names: Iterable[str], between: str = ", ") -> str:
        return between.join(names).replace("%", "%%")  # argparse formats what it is given

    parts = listed((f"{suite.name}: {' | '.join(suite.aliases)}" for suite in known if suite.aliases), "; ")
    grouped = listed(f"{suite.name} 0..{len(suite.groups) - 1}" for suite in known if suite.groups)
    parted = listed(suite.name for suite in known if suite.settings)
    agents = listed(f"{suite.name} {suite.default_agent}" for suite in known)
    protocols = listed(f"{suite.name} {suite.default_protocol}" for suite in known)
    parser = _Parser(
        prog="run-suite",
        description="Play a benchmark suite, one crash-safe record per episode, and print a table with intervals. "
        "Run the same command again to go on after an interruption.",
        epilog="Any other setting: group.key=value (env.gl=osmesa, protocol.warmup_count=10); lingbot-eval ls lists "
        "suites, tasks, agents and protocols." + "".join(f" Not here: {words}." for words in unloadable()),
    )
    parser.add_argument("benchmark", nargs="?", help=listed(suite_names(), " | "))
    parser.add_argument("overrides", nargs="*", metavar="group.key=value", help="any setting of lingbot_eval/conf")
    parser.add_argument("--suite", help=f"parts of the benchmark, comma-separated, all by default ({parts})")
    parser.add_argument("--tasks", help="indices or names, comma-separated (default: all)")
    parser.add_argument("--group", type=int, help=f"a group of tasks ({grouped})")
    parser.add_argument("--setting", help=f"easy | hard | both ({parted}; default: conf/suite)")
    parser.add_argument("--shard", metavar="i/n", help="play only this slice of the plan, i in 0..n-1")
    parser.add_argument("--episodes", type=int, help="per task and setting (default: the protocol's)")
    parser.add_argument(
        "--agent", help=f"{' | '.join(kind_names())} | module:Class | file.py:Class (default: {agents})"
    )
    parser.add_argument("--protocol", help=f"preset of conventions, see lingbot-eval ls (default: {protocols})")
    parser.add_argument("--workers", type=int, help="processes that play at once (default: one per GPU, or one)")
    parser.add_argument("--gpus", help="0,1,... | none: one in turn for each worker (default: all that are visible)")
    parser.add_argument("--seed", type=int, help="base seed of the episodes (default: the protocol's)")
    parser.add_argument("--video", help="auto | imagined | on | off (default: auto; docs/lingbot-va.md)")
    parser.add_argument("--regime", help="what the checkpoint was trained on, in your words; printed with the table")
    parser.add_argument(
        "--out", metavar="DIR", type=text_place, help="run directory (default: runs/, named after the experiment)"
    )
    parser.add_argument("--rehash", action="store_true", help="read a checkpoint's files again, whatever is remembered")
    parser.add_argument("--dry-run", action="store_true", help="show the plan and what is missing; play nothing")
    return parser


def chosen_settings(given: argparse.Namespace) -> RunSettings:
    if given.benchmark is None:
        raise BadInput(f"what to run? run-suite {' | '.join(suite_names())} (run-suite --help lists the options)")
    return choose(given.benchmark, Choices(**{one.name: getattr(given, one.name) for one in fields(Choices)}))


def _play(
    folder: RunDirectory, evaluation: Evaluation, episodes: Sequence[Episode], arguments: Sequence[str], quiet: bool
) -> None:
    chosen, console = evaluation.settings, screen(quiet)
    reader = StatusReader(folder, episodes)
    seen = reader.read()
    for sentence in seen.warnings:
        say(f"run-suite: {sentence}", file=sys.stderr)
    todo = remaining(episodes, {id for id, record in seen.final.items() if record.outcome is not Outcome.ERROR})
    planned = f"{len(folder.plan())} episodes planned, {len(todo)} to play"
    rules = f"protocol {chosen.protocol.name} [{evaluation.experiment.protocol_hash}]"
    console.print(f"{folder.path}: {planned}, {rules}", soft_wrap=True)
    remarks = suite_named(chosen.suite.name).remarks(chosen.protocol)
    for words in filter(None, (kind_of(chosen.agent).in_words(chosen.agent), *remarks)):
        console.print(words, soft_wrap=True)
    if not todo:
        return
    command = shlex.join(["run-suite", *arguments])
    with (
        Progress(reader, seen, Screen(stderr=True, quiet=quiet)) as progress,
        tracking(chosen.tracker, folder.path, episodes, seen.final) as track,
        _Interrupts(progress) as interrupts,
    ):

        def tell(update: EpisodeUpdate) -> None:
            progress.tell(update)
            track(update)

        evaluation.play(folder, todo, tell, command, interrupts.stopping)
    console.print("Where the workers' time went:")
    console.print(progress.times(console.width))
    if interrupts.stopping():
        raise KeyboardInterrupt


class _Interrupts:
    """Hears Ctrl-C: the first finishes what is being played, the second raises KeyboardInterrupt. In a thread other
    than the main one, which alone is interrupted, it hears nothing."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._asked = self._said = False

    def __enter__(self) -> _Interrupts:
        self._hears = threading.current_thread() is threading.main_thread()
        if self._hears:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._hears:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True  # and nothing more: whatever runs is interrupted by this
        signal.signal(signal.SIGINT, signal.default_int_handler)  # where a shell started us, that may have been ignored

    def stopping(self) -> bool:
        if self._asked and not self._said:
            self._said = True
            self._progress.say("run-suite: finishing the episodes that are being played; Ctrl-C again stops them")
        return self._asked


def _dry_run(chosen: RunSettings, given: argparse.Namespace) -> int:
    suite = suite_named(chosen.suite.name)
    if suite.expert_finds_scenes:  # the plan depends on the machine
        evaluation = prepare(chosen, given.rehash)
        chosen, episodes = evaluation.settings, evaluation.episodes(search=False)
        _say_plan(chosen, episodes)
    else:
        episodes = suite.plan(suite, Asked(chosen.suite, chosen.protocol))
        _say_plan(chosen, episodes)
        evaluation = prepare(chosen, given.rehash)
    for line in _listed("machine", evaluation.machine.facts | evaluation.machine.notes):
        say(line)
    say(f"protocol hash {evaluation.experiment.protocol_hash}")
    folder = RunDirectory(Path(given.out) if given.out else evaluation.folder)
    if (folder.path / "run.json").exists():
        folder.compare(evaluation.experiment, episodes)
    mine = episodes if given.shard is None else shard(episodes, given.shard)
    say(f"{folder.path}: {len(remaining(mine, folder.records().done()))} to play")
    return 0


def _say_plan(chosen: RunSettings, episodes: Sequence[Episode]) -> None:
    tasks = {(episode.suite, episode.task) for episode in episodes}
    say(f"{len(episodes)} episodes of {len(tasks)} tasks, plan {plan_hash(episodes)}")
    for episode in episodes[:3]:
        say(f"  {episode.id}: {episode.instruction!r}")
    say("  ..." if len(episodes) > 3 else "", end="\n" if len(episodes) > 3 else "")
    for line in (*_listed("protocol", to_dict(chosen.protocol)), *_listed("agent", to_dict(chosen.agent))):
        say(line)
    say(f"workers: {chosen.workers or 'as many as fit'}; sessions of each: {chosen.agent.sessions}")
    say(f"video: {chosen.films}")


def _listed(name: str, value: object) -> Iterator[str]:
    """Write ``value`` as ``name: value``, and a mapping as a line for each of its values, named as an override is."""
    if isinstance(value, Mapping) and value:
        for key, within in value.items():
            yield from _listed(f"{name}.{key}", within)
    else:
        yield f"{name}: {value if isinstance(value, str) else json.dumps(value)}"


if __name__ == "__main__":
    sys.exit(main())
