"""Kill what plays a suite, at random moments, until it is played; then count.

    python -m benchmarks.faults [--faults 200] [--toy 260] [--tabletop 3] [--ray] [--seed 0]

Each suite is played once undisturbed. Then it is played again while `kill -9` hits workers, simulators and coordinators
(``run-suite``); a coordinator that is gone is started again, as one or as two at once. With --ray, half of them have
their workers on two local Ray nodes, which are killed too. A suite that is done before its share of faults is played
once more.

Afterwards every planned episode must have exactly one final record, with the outcome and the number of commands of the
undisturbed run, and no process may be left. Exit status 1 where that is not so. The seed decides which faults and
pauses are drawn; what they meet is up to the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lingbot_eval.errors import LingbotEvalError
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.types import EpisodeRecord, Outcome

PROGRAMS = {
    "coordinator": "lingbot_eval.cli.run_suite",
    "worker": "lingbot_eval.runs.worker",
    "simulator": "lingbot_eval.envs.host",
}

SHARES = {"coordinator": 3, "worker": 4, "simulator": 4, "node": 4}
"""How often each is drawn."""

STORE = 80_000_000
"""Bytes of shared memory for a Ray node's objects; Ray refuses less than 75 MiB."""

PATIENCE_SECONDS = 1800.0
"""A run that takes longer hangs."""


@dataclass(frozen=True)
class Suite:
    name: str
    episodes: int
    """Planned in all."""
    share: float
    """Of the faults."""
    pause: float
    """Mean seconds between a victim's appearance and its end; shorter, and no episode would ever be finished."""
    arguments: tuple[str, ...]


@dataclass
class Tally:
    """What was done to a run, and what became of it."""

    faults: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    doubled: int = 0
    """Starts beside a coordinator that played already."""
    seconds: float = 0.0
    planned: int = 0
    records: int = 0
    errors: int = 0
    """Records of attempts that a fault ended."""
    twice: int = 0
    """Episodes with a second result, which does not count."""
    wrong: list[str] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200, help="in all")
    parser.add_argument("--toy", type=int, default=260, help="episodes of each of the toy's two tasks")
    parser.add_argument("--tabletop", type=int, default=3, help="episodes of each of tabletop's tasks and settings")
    parser.add_argument("--ray", action="store_true", help="also on two local Ray nodes, which are killed, too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep the run directories here")
    given = parser.parse_args(argv)
    dice = random.Random(given.seed)  # noqa: S311  (of faults, not of secrets)
    tallies = []
    with contextlib.ExitStack() as stack:
        out = given.out or Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        out = out.resolve()
        suites = [toy(given.toy)] * bool(given.toy) + [tabletop(given.tabletop, out)] * bool(given.tabletop)
        nodes = stack.enter_context(contextlib.closing(RayNodes())) if given.ray else None
        for suite in suites:
            left, number = round(given.faults * suite.share / sum(suite.share for suite in suites)), 0
            expected = undisturbed(out / f"{suite.name}-undisturbed", suite, dice)
            while left > 0:
                run = Run(out / f"{suite.name}-{number}", suite, nodes)
                tally = disturbed(run, left, dice)
                if not tally.wrong:
                    check(run, expected, tally)
                left, number = left - tally.faults.total(), number + 1
                tallies.append(tally)
                print(line(run.path.name, tally), flush=True)
                if tally.wrong:
                    break
    return report(tallies)


def toy(episodes: int) -> Suite:
    """Each takes a fifth of a second, so that a fault finds one."""
    slow = ",".join(f"{seed}:slow" for seed in range(episodes))
    return Suite("toy", 2 * episodes, 4.0, 0.6, ("--episodes", str(episodes), f"env.faults={{{slow}}}"))


def tabletop(episodes: int, out: Path) -> Suite:
    """The expert looks at no picture, so none is drawn."""
    arguments = ("--setting", "both", "--video", "off", "--episodes", str(episodes), f"suite.manifest={out / 'scenes'}")
    return Suite("tabletop", 16 * episodes, 1.0, 6.0, arguments)


class RayNodes:
    """A Ray cluster of two nodes with room for two workers each, and a head with room for none."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster  # needs: pip install 'lingbot_eval[ray]'

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE})
        self._alive = [self._add(), self._add()]

    @property
    def settings(self) -> tuple[str, ...]:
        """Of a coordinator that uses them."""
        address, lone = f"cluster.address={self._cluster.address}", "cluster.cpus_per_worker=0"
        return ("cluster=ray", address, lone, "cluster.patience_seconds=300")

    def _add(self) -> Any:
        return self._cluster.add_node(num_cpus=2, object_store_memory=STORE)

    def replace(self, number: int) -> None:
        """Kill one; another joins."""
        self._cluster.remove_node(self._alive.pop(number), allow_graceful=False)
        self._alive.append(self._add())

    def close(self) -> None:
        self._cluster.shutdown()


class Run:
    """One run directory, and all processes that play in it."""

    def __init__(self, path: Path, suite: Suite, nodes: RayNodes | None = None) -> None:
        self.path, self.suite, self.nodes = path.resolve(), suite, nodes
        self._coordinators: dict[subprocess.Popen[bytes], Path] = {}
        """And what they print."""
        self._started = 0
        path.mkdir(parents=True)

    def start(self, dice: random.Random) -> None:
        command = [sys.executable, "-m", PROGRAMS["coordinator"], self.suite.name, *self.suite.arguments]
        command += ["--workers", dice.choice("12"), f"agent.sessions={dice.choice('12')}", "--out", str(self.path)]
        command += dice.choice(((), self.nodes.settings)) if self.nodes else ()
        said = self.path / f"output-{self._started}.txt"
        self._started += 1
        with said.open("wb") as output:
            self._coordinators[subprocess.Popen(command, stdout=output, stderr=output)] = said

    def playing(self) -> int:
        """How many coordinators do. Raises RuntimeError where one has refused to."""
        for coordinator in list(self._coordinators):
            if (status := coordinator.poll()) is not None:
                words = self._coordinators.pop(coordinator).read_text()
                # one whose workers are killed while they load gives up; the same command must go on
                if status not in (0, 1, -signal.SIGKILL) and "before its first episode" not in words:
                    raise RuntimeError(f"run-suite ended with status {status}: {' | '.join(words.splitlines()[-3:])}")
        return len(self._coordinators)

    def find(self, kind: str) -> list[int]:
        """Pids of those that play here: a coordinator by its --out, the others by where their temporary files are."""
        return [pid for pid in processes(PROGRAMS[kind]) if self._here(pid)]

    def _here(self, pid: int) -> bool:
        try:
            command = (Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"\0")
            variables = (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended
            return False
        path = os.fsencode(self.path)
        return path in command or any(variable.startswith(b"TMPDIR=%b/tmp/" % path) for variable in variables)


def undisturbed(path: Path, suite: Suite, dice: random.Random) -> dict[str, EpisodeRecord]:
    run = Run(path, suite)
    run.start(dice)
    while run.playing():
        time.sleep(0.1)
    final = RunDirectory(path).records().final()
    assert len(final) == suite.episodes, f"{path} has {len(final)} of {suite.episodes} episodes"
    assert all(record.outcome is not Outcome.ERROR for record in final.values()), f"{path} has errors of its own"
    return final


def disturbed(run: Run, faults: int, dice: random.Random) -> Tally:
    """Play ``run`` to its end, under at most so many ``faults``."""
    tally, began, coordinators = Tally(), time.monotonic(), 1
    kinds = [kind for kind in SHARES if kind != "node" or run.nodes]
    try:
        while run.playing() or not complete(run):
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise RuntimeError(f"still plays after {PATIENCE_SECONDS:.0f} s")
            if run.playing() < coordinators and not complete(run):
                tally.doubled += run.playing() > 0
                tally.starts += 1
                run.start(dice)
            if tally.faults.total() >= faults:
                time.sleep(0.1)
                continue
            (kind,) = dice.choices(kinds, [SHARES[kind] for kind in kinds])
            if strike(run, kind, dice.uniform(0.0, 2.0 * run.suite.pause), dice):
                tally.faults[kind] += 1
                coordinators = dice.choice((1, 2)) if kind == "coordinator" else coordinators
    except RuntimeError as error:
        tally.wrong.append(str(error))
    finally:
        tally.seconds = time.monotonic() - began
        time.sleep(2.0)  # the kernel takes a moment to end orphans
        if left := [pid for kind in PROGRAMS for pid in run.find(kind)]:
            tally.wrong.append(f"{len(left)} processes are left")
        for pid in left:
            kill(pid)
    return tally


def strike(run: Run, kind: str, pause: float, dice: random.Random) -> bool:
    """Wait for a victim, then for ``pause`` seconds, and kill one; False where the run ended before."""
    sought = "worker" if kind == "node" else kind
    while not run.find(sought):
        if not run.playing():
            return False
        time.sleep(0.05)
    time.sleep(pause)
    if not (found := run.find(sought)):
        return False
    if kind == "node" and run.nodes:
        run.nodes.replace(dice.randrange(2))
        return True
    return kill(dice.choice(found))


def complete(run: Run) -> bool:
    folder = RunDirectory(run.path)
    try:
        return {episode.id for episode in folder.plan()} == folder.records().done()
    except LingbotEvalError:  # killed before it had planned
        return False


def check(run: Run, expected: dict[str, EpisodeRecord], tally: Tally) -> None:
    """Compare what ``run`` recorded with the undisturbed run, and with its own table."""
    folder = RunDirectory(run.path)
    records, plan = folder.records(), folder.plan()
    final = records.final()
    tally.planned, tally.records = len(plan), len(records.all)
    tally.errors = sum(record.outcome is Outcome.ERROR for record in records.all)
    results = Counter(record.episode.id for record in records.all if record.outcome is not Outcome.ERROR)
    tally.twice = sum(count > 1 for count in results.values())
    for name, ids in (
        ("planned twice", [id for id, count in Counter(e.id for e in plan).items() if count > 1]),
        ("in one of the two plans only", {episode.id for episode in plan} ^ set(expected)),
        ("lost", [id for id in expected if id not in results]),
        ("recorded, and never planned", [id for id in final if id not in expected]),
        ("with another result than undisturbed", [id for id in final if differs(final[id], expected.get(id))]),
    ):
        if ids:
            tally.wrong.append(f"{len(ids)} episodes {name}: {sorted(ids)[0]}")
    report = [sys.executable, "-m", "lingbot_eval.cli.lingbot_eval", "report", str(run.path)]
    subprocess.run(report, check=True, capture_output=True)
    with (run.path / "report" / "table.csv").open() as file:
        trials = sum(int(row["trials"]) for row in csv.DictReader(file) if row["task"])
    if trials != len(expected):
        tally.wrong.append(f"the table counts {trials} trials of {len(expected)} episodes")


def differs(one: EpisodeRecord, other: EpisodeRecord | None) -> bool:
    if other is None:
        return False  # said elsewhere
    return (one.outcome, one.commands, one.progress) != (other.outcome, other.commands, other.progress)


def line(name: str, tally: Tally) -> str:
    verdict = "; ".join(tally.wrong) or "as undisturbed"
    return (
        f"{name}: {tally.faults.total()} faults in {tally.seconds:.0f} s, {tally.starts} starts "
        f"({tally.doubled} beside another), {tally.planned} episodes, {tally.records} records, "
        f"{tally.errors} of them ERROR, {tally.twice} second results: {verdict}"
    )


def report(tallies: Sequence[Tally]) -> int:
    faults: Counter[str] = sum((tally.faults for tally in tallies), Counter())
    print("\n".join([f"{'killed':12} times", *(f"{kind:12} {count:5}" for kind, count in sorted(faults.items()))]))
    planned, wrong = sum(tally.planned for tally in tallies), sum(len(tally.wrong) for tally in tallies)
    verdict = f"{wrong} THINGS ARE WRONG" if wrong else "nothing lost, nothing twice"
    print(f"{faults.total()} faults over {planned} episodes: {verdict}")
    return int(wrong > 0)


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def processes(module: str) -> Iterator[int]:
    """Pids of the living ones that run ``python -m module``."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if b"\0-m\0%b\0" % module.encode() in (folder / "cmdline").read_bytes():
                yield int(folder.name)


if __name__ == "__main__":
    sys.exit(main())
