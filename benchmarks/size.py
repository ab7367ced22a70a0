"""What a run directory costs to read as it grows: seconds of CPU and memory of each command, and what its page weighs.

    python -m benchmarks.size [--episodes 10000,100000] [--commands report,status] [--keep DIR]

Makes runs of RoboTwin's fifty tasks, easy and hard, with so many episodes in all, as sixteen workers on four machines
would have left them: two dozen versions in every record, timings, progress, and now and then an ERROR that was tried
again. Each command is a process of its own, whose CPU seconds and largest resident memory the kernel tells. "compare"
is of two such runs and writes their page; "poll" is what ``view`` spends on an open page that asks whether something is
new; "anew" on the same after one more record. "Again" is what ``status --watch`` and a run's own screen spend every two
seconds, here with one more record each time. "Interactive" is as in ``benchmarks/page.py``. Ratios between sizes carry
over to another machine, the figures themselves do not.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import numpy as np

from lingbot_eval.cli.overview import overview
from lingbot_eval.envs.robotwin.tasks import TASKS
from lingbot_eval.lines import checksum
from lingbot_eval.runs.contents import version
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.experiment import Experiment, Played
from lingbot_eval.runs.status import StatusReader
from lingbot_eval.settings import protocol_hash, to_dict
from lingbot_eval.suites import load_protocol
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Provenance, Spent
from tests.browser import Browser, program

SETTINGS = ("easy", "hard")
WORKERS, HOSTS = 16, 4
ERRORS = 0.01
"""Of the attempts; each is tried once more."""

COMMANDS = ("report", "status", "compare", "view", "page")
POLLS = 20

FACTS = {"robotwin": "2eeec322", "assets": "0f3c52d1a9be", "planner": "curobo 0.7.6", "sapien": "3.0.0b1"}
VERSIONS = {
    **{"lingbot_eval": "0.5.0", "git": "0123456789ab", "code": "ba9876543210", "python": "3.11.9", "numpy": "2.2.6"},
    **{"torch": "2.8.0", "cuda": "12.8", "cudnn": "91002", "gpu": "NVIDIA H100 80GB HBM3", "nvidia_driver": "570.86"},
    **{"diffusers": "0.35.1", "transformers": "4.56.2", "tokenizers": "0.22.1", "attention": "flash"},
    **{"precision": "bfloat16", "device": "cuda", "vulkan_device": "NVIDIA H100 80GB HBM3", "scipy": "1.15.3"},
    **{"pillow": "11.3.0", "toppra": "0.6.3", "gymnasium": "1.2.0", "msgspec": "0.19.0", **FACTS},
}
DIED = "SimulatorDied: the simulator ended with exit status -11; its last words are in logs/"


def make(path: Path, episodes: int, agent: str = "lingbot-va", rate: float = 0.9) -> RunDirectory:
    """A finished run of ``episodes``, or the next number above that gives every task and setting as many."""
    each = -(-episodes // (len(TASKS) * len(SETTINGS)))
    plan = [
        Episode("robotwin", task, 10_000 + k, f"Do {task} with the thing at place {k % 40}.", setting, index=k)
        for setting in SETTINGS
        for task in TASKS
        for k in range(each)
    ]
    protocol = load_protocol("robotwin", "lingbot-va")
    experiment = Experiment(
        suite=Played("robotwin", seed=0, episodes=each),
        protocol=to_dict(protocol),
        facts=FACTS,
        protocol_hash=protocol_hash(protocol, FACTS),
        agent={"name": agent},
        checkpoint="5f1d8c0e2b7a",
        regime="B",
    )
    folder = RunDirectory(path)
    folder.open(experiment, plan)
    for worker in range(WORKERS):
        host = worker % HOSTS
        who = Provenance(
            agent=agent,
            protocol=protocol.name,
            versions={**VERSIONS, "cpu": f"AMD EPYC 9{host}54"},
            host=f"node-{host:02d}",
            checkpoint=experiment.checkpoint,
            protocol_hash=experiment.protocol_hash,
        )
        write(path / "records" / f"worker-{worker:02d}.jsonl", played(plan[worker::WORKERS], who, rate, worker))
    return folder


def played(episodes: Sequence[Episode], who: Provenance, rate: float, seed: int) -> Iterator[EpisodeRecord]:
    chance = np.random.default_rng(seed)
    for number, episode in enumerate(episodes):
        won, broke, seconds = chance.random() < rate, chance.random() < ERRORS, float(chance.uniform(20, 200))
        hours, minute = divmod(number // 15, 60)
        at = f"2026-11-{1 + hours // 24 % 28:02d}T{hours % 24:02d}:{minute:02d}:{number % 15 * 4:02d}.000+00:00"
        if broke:
            yield EpisodeRecord(episode, Outcome.ERROR, 0, 31.25, error=DIED, finished=at, provenance=who)
        yield EpisodeRecord(
            episode=episode,
            outcome=Outcome.SUCCESS if won else Outcome.FAILURE,
            commands=int(chance.integers(60, 400)),
            seconds=seconds,
            progress=3.0 if won else float(chance.integers(0, 3)),
            max_progress=3.0,
            attempt=1 + broke,
            finished=at,
            provenance=who,
            spent=Spent(0.6 * seconds, 0.35 * seconds, 0.02 * seconds),
        )


def write(file: Path, records: Iterator[EpisodeRecord]) -> None:
    """As ``LineWriter`` would, without waiting for the disk after every line."""
    chain = b""
    with file.open("wb") as stream:
        for record in records:
            line = msgspec.json.encode(record)
            chain = checksum(chain, line)
            stream.write(line[:-1] + b',"chain":"' + chain + b'"}\n')


@dataclass(frozen=True)
class Cost:
    cpu: float
    """Seconds, of user and system."""
    megabytes: float
    """Resident, at most."""

    def __str__(self) -> str:
        return f"{self.cpu:.2f} s, {self.megabytes:.0f} MB"


def spent(*command: str) -> Cost:
    """Of a process of its own. Raises SystemExit where it fails."""
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=words)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            words.seek(0)
            sys.exit(f"{' '.join(command)}: {words.read().decode()}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def cli(*arguments: str) -> Cost:
    return spent("-m", "lingbot_eval.cli.lingbot_eval", *arguments)


@contextlib.contextmanager
def viewed(run: Path) -> Iterator[tuple[int, str]]:
    """A ``view`` of ``run``: its process and address."""
    command = [sys.executable, "-m", "lingbot_eval.cli.lingbot_eval", "view", str(run)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.pid, process.stdout.readline().split()[0]
    finally:
        process.terminate()
        process.communicate()


def cpu_of(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_of(process: int) -> float:
    words = dict(line.split(":") for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(words["VmHWM"].split()[0]) / 1024


def get(url: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=600)
    connection.request("GET", path)
    content = connection.getresponse().read()
    connection.close()
    return content


def view(run: Path) -> None:
    with viewed(run) as (process, url):
        began = cpu_of(process)
        size = len(get(url, "/report/index.html"))
        shown = cpu_of(process)
        print(f"  view: {began:.2f} s until it answers, the page {shown - began:.2f} s more, {size / 1e3:.0f} kB")
        poll = f"/report/data.json?after={version(RunDirectory(run))}"
        for _ in range(POLLS):
            assert get(url, poll) == b""
        polled = cpu_of(process)
        extra = run / "records" / "one-more.jsonl"
        plan = RunDirectory(run).plan()
        write(extra, iter([EpisodeRecord(plan[0], Outcome.SUCCESS, 9, 9.0, attempt=9)]))
        while not get(url, poll):  # a large run's page rests after it was made
            time.sleep(0.5)
        anew, peak = cpu_of(process), peak_of(process)
        extra.unlink()
    print(f"  view: poll {1e3 * (polled - shown) / POLLS:.1f} ms; anew {anew - polled:.2f} s; {peak:.0f} MB")


def watched(run: Path) -> None:
    reader, extra = StatusReader(RunDirectory(run)), run / "records" / "one-more.jsonl"
    began = time.process_time()
    overview(reader.read(), 120)
    first, again = time.process_time() - began, 0.0
    plan = RunDirectory(run).plan()
    for count in range(1, POLLS + 1):
        write(extra, (EpisodeRecord(plan[k], Outcome.SUCCESS, 9, 9.0, attempt=9) for k in range(count)))
        began = time.process_time()
        overview(reader.read(), 120)
        again += time.process_time() - began
    extra.unlink()
    print(f"  status: read {first:.2f} s; again {1e3 * again / POLLS:.1f} ms", flush=True)


def opened(run: Path) -> None:
    if program() is None:
        print("  page: no browser here")
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(Path(profile))
        seconds = []
        for _ in range(5):
            browser.open((run / "report" / "index.html").as_uri())
            browser.look("document.body.offsetHeight")
            seconds.append(browser.look("performance.getEntriesByType('navigation')[0].domComplete") / 1000)
        browser.look("document.querySelector('#tasks tbody.lines button').click()")
        start = time.perf_counter()
        browser.wait("document.getElementById('episodes').getAttribute('aria-busy') === 'false'")
        task = time.perf_counter() - start
        browser.look("choose({task: '', suite: '', find: 'place 39'})")
        start = time.perf_counter()
        browser.wait("document.getElementById('episodes').getAttribute('aria-busy') === 'false'", 600)
        found = time.perf_counter() - start
        browser.close()
    words = f"interactive in {sorted(seconds)[2]:.2f} s (median of 5), a task's episodes in {task:.2f} s"
    print(f"  page: {words}, a word sought in all episodes in {found:.1f} s")


def measure(folder: Path, episodes: int, commands: Sequence[str]) -> None:
    names = ("a", "b") if "compare" in commands else ("a",)
    for name in names:
        if not (folder / name).exists():  # in a process of its own: a child's peak begins with its parent's
            spent("-m", "benchmarks.size", "--make", str(folder / name), "--episodes", str(episodes))
    run = folder / "a"
    size = sum(file.stat().st_size for file in (run / "records").iterdir())
    print(f"{episodes} episodes, {size / 1e6:.0f} MB of records", flush=True)
    if "report" in commands:
        print(f"  report: {cli('report', str(run))}", flush=True)
        parts = list((run / "report" / "parts").glob("*.js"))
        weight = sum(file.stat().st_size for file in parts) / 1e6
        index = (run / "report" / "index.html").stat().st_size / 1e3
        print(f"  page: {index:.0f} kB and {len(parts)} parts of {weight:.1f} MB in all", flush=True)
    if "status" in commands:
        print(f"  status: {cli('status', str(run))}", flush=True)
        watched(run)
    if "compare" in commands:
        cost = cli("compare", str(run), str(folder / "b"), "--page", str(folder / "a-b.html"))
        print(f"  compare: {cost}; its page {(folder / 'a-b.html').stat().st_size / 1e3:.0f} kB", flush=True)
    if "view" in commands:
        view(run)
    if "page" in commands and (run / "report" / "index.html").exists():
        opened(run)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", default="10000,100000", help="sizes; default: %(default)s")
    parser.add_argument("--commands", default=",".join(COMMANDS), help="default: %(default)s")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="make the runs here, and use them again")
    parser.add_argument("--make", metavar="RUN", type=Path, help="only make this run")
    given = parser.parse_args()
    sizes = [int(size) for size in given.episodes.split(",")]
    if given.make:
        make(given.make, sizes[0], agent=f"lingbot-va-{given.make.name}", rate=0.9 if given.make.name == "a" else 0.88)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        for size in sizes:
            folder = (given.keep or Path(temporary)) / str(size)
            folder.mkdir(parents=True, exist_ok=True)
            measure(folder, size, given.commands.split(","))
    return 0


if __name__ == "__main__":
    sys.exit(main())
