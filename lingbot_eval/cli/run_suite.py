"""``run-suite``: plan, play, record, report."""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import signal
import socket
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

import msgspec

from lingbot_eval.agents import AGENTS, agent_versions, check_agent
from lingbot_eval.cli.compose import quoted, settings
from lingbot_eval.cli.places import refused, text_place
from lingbot_eval.cli.progress import Progress
from lingbot_eval.cli.report import write_report
from lingbot_eval.cli.scenes import scenes_of, with_scenes
from lingbot_eval.cli.screen import Screen, screen
from lingbot_eval.envs.check import Machine, inspect
from lingbot_eval.envs.libero.tasks import suite_names
from lingbot_eval.envs.robotwin.groups import group
from lingbot_eval.errors import BadInput, LingbotEvalError, NotReady, UnknownName
from lingbot_eval.plain import say
from lingbot_eval.revision import code_hash, git_revision
from lingbot_eval.runs import coordinator as local
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.lanes import EpisodeUpdate
from lingbot_eval.runs.plan import plan, plan_hash, remaining, shard
from lingbot_eval.runs.status import StatusReader
from lingbot_eval.runs.workers import decided
from lingbot_eval.settings import (
    LiberoProtocol,
    RaySettings,
    RoboTwinProtocol,
    RunSettings,
    protocol_hash,
    protocol_names,
    to_dict,
)
from lingbot_eval.trackers import require, tracking
from lingbot_eval.types import Episode, Outcome, Provenance

NOT_THE_EXPERIMENT = ("path", "checkpoint", "parts", "sessions", "device", "text_device", "vae_device", "graphs")
"""Settings of an agent that a run may be continued with other values of: where something lies, whose content counts
(``check_agent``), and where and with how many others an episode is computed. Each record says the device."""

SUITES = {"libero": "strict", "robotwin": "lingbot-va", "tabletop": "tabletop", "toy": "toy"}
"""What can be run, with its default protocol."""

DEFAULT_AGENT = {"libero": "lingbot-va", "robotwin": "lingbot-va", "tabletop": "expert", "toy": "expert"}

BIMANUAL = ("robotwin", "tabletop")
"""Suites that LingBot-VA plays with the settings and the checkpoint of its RoboTwin results."""

SETTINGS = {"easy": ("easy",), "hard": ("hard",), "both": ("easy", "hard")}


def main(argv: Sequence[str] | None = None) -> int:
    """0: every planned episode was played; 1: some ended in ERROR; 2: bad input; 130: interrupted."""
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
    if any("\0" in word for word in arguments):
        raise BadInput("a word with a NUL character names nothing")
    given = _parser().parse_intermixed_args(arguments)
    chosen = chosen_settings(given)
    draws = chosen.agent.looks or chosen.films != "off"
    if given.dry_run:
        return _dry_run(chosen, draws, given)
    chosen, machine, checkpoint = ready(chosen, draws, given.rehash)
    episodes = _episodes(chosen, machine, search=True)
    experiment = experiment_of(chosen, machine, checkpoint)
    folder = RunDirectory(Path(given.out) if given.out else _default_folder(chosen, experiment))
    mine = episodes if given.shard is None else shard(episodes, given.shard)
    folder.open(experiment, episodes)
    _play(folder, chosen, machine, experiment, mine, arguments)
    final = write_report(folder)
    played = {id for id, record in final.items() if record.outcome is not Outcome.ERROR}
    return int(any(episode.id not in played for episode in mine))  # NFS may not show a record yet


def ready(chosen: RunSettings, draws: bool, rehash: bool = False) -> tuple[RunSettings, Machine, str]:
    """The settings with every choice made, what the simulator found on this machine, and the hash of what the agent
    plays from; ``rehash``: without what is remembered of the hashes of its files.

    Raises BadInput, UnknownName, and NotReady that says everything that is missing.
    """
    require(chosen.tracker)
    bimanual = isinstance(chosen.protocol, RoboTwinProtocol)
    if not bimanual:
        plan(chosen.suite, chosen.protocol)  # a wrong name costs no look at the machine
    missing = []
    try:
        chosen = decided(chosen)
    except NotReady as error:
        missing.append(str(error))
    try:
        machine = inspect(chosen.env, draws, scenes_of(chosen) if bimanual else ())
    except NotReady as error:
        missing.append(str(error))
    try:
        agent, checkpoint = check_agent(chosen.agent, chosen.suite.name, *_here(chosen), fresh=rehash)
    except NotReady as error:
        missing.append(str(error))
    if missing:
        raise NotReady(_listed("\n".join(missing).splitlines(), chosen.suite.name))
    for words in filter(None, (machine.notes.get("warning"), *machine.said)):
        say(f"run-suite: {words}", file=sys.stderr)
    return msgspec.structs.replace(chosen, env=machine.simulator, agent=agent), machine, checkpoint


def _here(chosen: RunSettings) -> tuple[int, tuple[str, ...]]:
    """How many workers play on this machine, and on which GPUs in turn, if they are chosen."""
    if isinstance(chosen.cluster, RaySettings):
        return 0, ()
    return chosen.workers or 1, tuple(map(str, chosen.cluster.gpus or ()))


def _listed(missing: list[str], suite: str) -> str:
    """One line for one thing, else one each."""
    lines = missing if len(missing) == 1 else ["not ready; what is missing:", *(f"  - {line}" for line in missing)]
    if suite == "robotwin":
        lines = [*lines, "run-suite tabletop needs no checkout, no assets and no checkpoint"]
    return "\n".join(lines)


def _episodes(chosen: RunSettings, machine: Machine, search: bool) -> list[Episode]:
    if isinstance(chosen.protocol, RoboTwinProtocol):
        return with_scenes(chosen, machine, search=search)
    return plan(chosen.suite, chosen.protocol)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (run-suite --help lists the options)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="run-suite",
        description="Play a benchmark suite, one crash-safe record per episode, and print a table with intervals. "
        "Run the same command again to go on after an interruption.",
        epilog="Any other setting: group.key=value (env.gl=osmesa, protocol.warmup_count=10); lingbot-eval ls lists "
        "suites, tasks, agents and protocols.",
    )
    parser.add_argument("benchmark", nargs="?", help=" | ".join(SUITES))
    parser.add_argument("overrides", nargs="*", metavar="group.key=value", help="any setting of lingbot_eval/conf")
    parser.add_argument("--suite", help="libero: spatial | object | goal | long | all (default), or several: goal,long")
    parser.add_argument("--tasks", help="indices or names, comma-separated (default: all)")
    parser.add_argument("--group", type=int, help="robotwin: one of LingBot-VA's seven groups of tasks, 0..6")
    parser.add_argument("--setting", help="robotwin, tabletop: easy | hard | both (default: both; tabletop: easy)")
    parser.add_argument("--shard", metavar="i/n", help="play only this slice of the plan, i in 0..n-1")
    parser.add_argument("--episodes", type=int, help="per task and setting (default: the protocol's)")
    parser.add_argument("--agent", help=f"{' | '.join(AGENTS)} (default: lingbot-va; tabletop, toy: expert)")
    parser.add_argument("--protocol", help="preset of conventions, see lingbot-eval ls (default: strict)")
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
        raise BadInput(f"what to run? run-suite {' | '.join(SUITES)} (run-suite --help lists the options)")
    if given.benchmark not in SUITES:
        raise UnknownName("benchmark", given.benchmark, SUITES)
    agent = given.agent or DEFAULT_AGENT[given.benchmark]
    if agent not in AGENTS:
        raise UnknownName("agent", agent, AGENTS)
    protocol = given.protocol or SUITES[given.benchmark]
    if protocol not in protocol_names(given.benchmark):
        raise UnknownName("protocol", protocol, protocol_names(given.benchmark))
    overrides = []
    if given.suite is not None:
        if given.benchmark == "libero":
            names = [full for name in given.suite.split(",") for full in suite_names(name)]
        elif given.suite != given.benchmark:
            raise UnknownName("suite", given.suite, [given.benchmark])
        else:
            names = [given.suite]
        overrides.append(f"suite.suites=[{','.join(names)}]")
    overrides += _scene_overrides(given)
    if given.tasks is not None:
        overrides.append(f"suite.tasks=[{','.join(quoted(task.strip()) for task in given.tasks.split(','))}]")
    flags = {"suite.episodes": given.episodes, "suite.seed": given.seed, "workers": given.workers}
    overrides += [f"{key}={value}" for key, value in flags.items() if value is not None]
    if given.gpus is not None:
        names = [] if given.gpus == "none" else [quoted(name.strip()) for name in given.gpus.split(",")]
        overrides.append(f"cluster.gpus=[{','.join(names)}]")
    words = {"regime": given.regime, "video": given.video}
    overrides += [f"{key}={quoted(text)}" for key, text in words.items() if text is not None]
    benchmark = given.benchmark
    if agent == "lingbot-va" and benchmark in BIMANUAL:
        agent = "lingbot-va-bimanual"
    groups = [f"suite={benchmark}", f"env={benchmark}", f"agent={agent}", f"protocol={benchmark}/{protocol}"]
    return settings(groups, [*overrides, *given.overrides])


def _scene_overrides(given: argparse.Namespace) -> list[str]:
    """Of --group and --setting, which not every benchmark has."""
    overrides = []
    if given.group is not None:
        if given.benchmark != "robotwin" or given.tasks is not None:
            raise BadInput("--group chooses among RoboTwin's tasks: run-suite robotwin --group 0, without --tasks")
        overrides.append(f"suite.tasks=[{','.join(group(given.group))}]")
    if given.setting is not None:
        if given.benchmark not in BIMANUAL:
            raise BadInput(f"{given.benchmark} has no settings; robotwin and tabletop have easy and hard")
        if given.setting not in SETTINGS:
            raise UnknownName("setting", given.setting, SETTINGS)
        overrides.append(f"suite.settings=[{','.join(SETTINGS[given.setting])}]")
    return overrides


def experiment_of(chosen: RunSettings, machine: Machine, checkpoint: str) -> dict[str, Any]:
    """What must be the same for a run to be continued, or to be added to: other tasks of it."""
    agent = {name: value for name, value in to_dict(chosen.agent).items() if name not in NOT_THE_EXPERIMENT}
    if agent["lingbot"] is not None:
        lingbot = agent["lingbot"].items()
        agent["lingbot"] = {name: value for name, value in lingbot if name not in NOT_THE_EXPERIMENT}
    count = chosen.suite.episodes or chosen.protocol.episodes_per_task
    base = chosen.protocol.seed if chosen.suite.seed is None else chosen.suite.seed
    return {
        "suite": {"name": chosen.suite.name, "seed": base, "episodes": count},
        "protocol": to_dict(chosen.protocol),
        "facts": machine.facts,
        "protocol_hash": protocol_hash(chosen.protocol, machine.facts),
        "agent": agent,
        "checkpoint": checkpoint,
        "regime": chosen.regime,
    }


def provenance_of(chosen: RunSettings, machine: Machine, experiment: dict[str, Any]) -> Provenance:
    """What is known before a worker adds what it computes on."""
    versions = {
        "lingbot_eval": metadata.version("lingbot_eval"),
        "git": git_revision(),
        "code": code_hash(),
        **machine.notes,
        **machine.facts,
        **agent_versions(chosen.agent),
    }
    return Provenance(
        agent=chosen.agent.name,
        checkpoint=experiment["checkpoint"],
        protocol=chosen.protocol.name,
        protocol_hash=experiment["protocol_hash"],
        versions=versions,
        host=socket.gethostname(),
    )


def _default_folder(chosen: RunSettings, experiment: dict[str, Any]) -> Path:
    """The same for the same experiment, so that the same command goes on with it."""
    digest = hashlib.sha256(json.dumps(experiment, sort_keys=True).encode()).hexdigest()[:8]
    protocol = chosen.protocol.name.split()[0]
    return Path("runs") / f"{chosen.suite.name}-{chosen.agent.name}-{protocol}-{digest}"


def _play(
    folder: RunDirectory,
    chosen: RunSettings,
    machine: Machine,
    experiment: dict[str, Any],
    episodes: Sequence[Episode],
    arguments: list[str],
) -> None:
    reader = StatusReader(folder, episodes)
    seen = reader.read()
    for sentence in seen.warnings:
        say(f"run-suite: {sentence}", file=sys.stderr)
    todo = remaining(episodes, {id for id, record in seen.final.items() if record.outcome is not Outcome.ERROR})
    say(
        f"{folder.path}: {len(folder.plan())} episodes planned, {len(todo)} to play, protocol {chosen.protocol.name} ",
        end="",
    )
    say(f"[{experiment['protocol_hash']}]")
    if (model := chosen.agent.lingbot) is not None:
        attention = agent_versions(chosen.agent)["attention"]
        say(f"{chosen.agent.name} in {model.dtype} on {model.device}, attention by {attention}")
    if isinstance(chosen.protocol, LiberoProtocol) and chosen.protocol.seeding == "drawn":
        say(f"protocol {chosen.protocol.name} never seeds its scenes: plan/ holds one drawn seed per episode")
    if not todo:
        return
    provenance = provenance_of(chosen, machine, experiment)
    command = shlex.join(["run-suite", *arguments])
    with (
        Progress(reader, seen, Screen(stderr=True)) as progress,
        tracking(chosen.tracker, folder.path, episodes, seen.final) as track,
        _Interrupts(progress) as interrupts,
    ):

        def tell(update: EpisodeUpdate) -> None:
            progress.tell(update)
            track(update)

        local.play(folder, todo, chosen, provenance, tell, command, interrupts.stopping)
    console = screen()
    console.print("Where the workers' time went:")
    console.print(progress.times(console.width))
    if interrupts.stopping():
        raise KeyboardInterrupt


class _Interrupts:
    """Ctrl-C once: finish what is being played; twice: KeyboardInterrupt."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._asked = self._said = False

    def __enter__(self) -> _Interrupts:
        self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True  # and nothing more: whatever runs is interrupted by this
        signal.signal(signal.SIGINT, signal.default_int_handler)  # where a shell started us, that may have been ignored

    def stopping(self) -> bool:
        if self._asked and not self._said:
            self._said = True
            self._progress.say("run-suite: finishing the episodes that are being played; Ctrl-C again stops them")
        return self._asked


def _dry_run(chosen: RunSettings, draws: bool, given: argparse.Namespace) -> int:
    if isinstance(chosen.protocol, RoboTwinProtocol):  # whose plan depends on the machine
        chosen, machine, checkpoint = ready(chosen, draws, given.rehash)
        episodes = _episodes(chosen, machine, search=False)
    else:
        episodes = plan(chosen.suite, chosen.protocol)
    tasks = {(episode.suite, episode.task) for episode in episodes}
    say(f"{len(episodes)} episodes of {len(tasks)} tasks, plan {plan_hash(episodes)}")
    for episode in episodes[:3]:
        say(f"  {episode.id}: {episode.instruction!r}")
    say("  ..." if len(episodes) > 3 else "", end="\n" if len(episodes) > 3 else "")
    say(f"protocol {to_dict(chosen.protocol)}")
    sessions = f"{chosen.workers or 'as many as fit'} workers x {chosen.agent.sessions} sessions"
    say(f"agent {to_dict(chosen.agent)}, {sessions}, video {chosen.films}")
    if not isinstance(chosen.protocol, RoboTwinProtocol):
        chosen, machine, checkpoint = ready(chosen, draws, given.rehash)
    say(f"machine {machine.facts | machine.notes}")
    say(f"protocol hash {protocol_hash(chosen.protocol, machine.facts)}")
    experiment = experiment_of(chosen, machine, checkpoint)
    folder = RunDirectory(Path(given.out) if given.out else _default_folder(chosen, experiment))
    if (folder.path / "run.json").exists():
        folder.compare(experiment, episodes)
    mine = episodes if given.shard is None else shard(episodes, given.shard)
    say(f"{folder.path}: {len(remaining(mine, folder.records().done()))} to play")
    return 0


if __name__ == "__main__":
    sys.exit(main())
