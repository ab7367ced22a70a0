"""What it costs a coordinator to hand out one episode: look at what others have done, choose, claim, give back.

    python -m benchmarks.handout [--planned 10000] [--files 16]

In a run directory with 100 records and in one with nearly all of them, on this machine's disk; what claims and reading
cost on NFS is its round trips besides. No worker and no simulator is started.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import msgspec

from lingbot_eval.runs.claims import Claims
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.experiment import Experiment, Played
from lingbot_eval.runs.plan import by_task
from lingbot_eval.runs.presence import Watch
from lingbot_eval.runs.queue import Queue
from lingbot_eval.types import Episode, EpisodeRecord, Outcome

TASKS, HAND_OUTS = 50, 30


def hand_outs(planned: int, known: int, files: int) -> dict[str, float]:
    """Milliseconds, the median: of learning what is new, choosing an episode, and claiming it."""
    episodes = [Episode("s", f"task-{n % TASKS:02d}", n, "do it") for n in range(planned)]
    with tempfile.TemporaryDirectory() as path:
        folder = RunDirectory(Path(path))
        folder.open(
            Experiment(Played("s", 0, planned // TASKS), {"name": "p"}, {}, "", {"name": "a"}, "", ""), episodes
        )
        for name in ("sessions", "claims"):
            (folder.path / name).mkdir()
        for number in range(files):
            records = [EpisodeRecord(episode, Outcome.SUCCESS, 9, 9.0) for episode in episodes[number:known:files]]
            lines = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
            (folder.path / "records" / f"{number}.jsonl").write_bytes(lines)
        claims = Claims(folder, "me", Watch(folder))
        queue = Queue(episodes[known:], dict.fromkeys(by_task(episodes), 100), claims.records)
        took: dict[str, list[float]] = {"see": [], "next": [], "take": []}
        last = None
        for _ in range(HAND_OUTS):
            at = time.perf_counter()
            claims.read()
            queue.see()
            seen = time.perf_counter()
            last = queue.next_for(last, [])
            assert last is not None
            chosen = time.perf_counter()
            assert claims.take(last) == 1
            took["take"].append(time.perf_counter() - chosen)
            took["next"].append(chosen - seen)
            took["see"].append(seen - at)
            claims.release(last)
        return {name: 1e3 * statistics.median(seconds) for name, seconds in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planned", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=16, help="that the records are in")
    given = parser.parse_args()
    for known in (100, given.planned - 100):
        took = hand_outs(given.planned, known, given.files)
        parts = ", ".join(f"{name} {ms:.2f}" for name, ms in took.items())
        print(f"{known:6} records of {given.planned} episodes: {sum(took.values()):.2f} ms per hand-out ({parts})")


if __name__ == "__main__":
    main()
