"""What tabletop costs: joints for a pose, an expert's episode, a look with three cameras.

    python -m benchmarks.tabletop [--seeds 20] [--tasks lift_block,stack_two]

Absolute figures do not carry over to another machine; the success rates do. Without a Vulkan device that draws, the
looks are left out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from lingbot_eval.envs.robotwin.ik import Array
from lingbot_eval.envs.tabletop import TASKS, task_class
from lingbot_eval.envs.tabletop.task import SETTINGS, TabletopTask
from lingbot_eval.envs.vulkan import probe
from lingbot_eval.errors import NotReady

LOOK_EVERY = 4
"""Commands between two looks, as LingBot-VA's."""


@dataclass
class Cost:
    """Of one task in one setting."""

    solved: int = 0
    replayed: int = 0
    commands: list[int] = field(default_factory=list)
    expert_seconds: list[float] = field(default_factory=list)
    ik_seconds: list[float] = field(default_factory=list)
    ik_failures: int = 0


def play(task: TabletopTask, seed: int, setting: str, cost: Cost) -> None:
    """The expert's episode, then its commands one by one, with the clock on each question for joints."""
    start = time.perf_counter()
    task.setup_demo(0, seed, setting=setting)
    task.play_once()
    cost.solved += task.plan_success and task.check_success()
    path = task.path
    cost.expert_seconds.append(time.perf_counter() - start)
    task.setup_demo(0, seed, setting=setting)
    before = path[0]
    for command in path:
        for side, part in (("left", slice(0, 7)), ("right", slice(8, 15))):
            pose = command[part]
            if (pose == before[part]).all():
                continue  # an arm that stands costs nothing
            start = time.perf_counter()
            cost.ik_failures += task.arms[side].solve(pose) is None  # type: ignore[index]
            cost.ik_seconds.append(time.perf_counter() - start)
        before = command
        task.take_action(command)
    cost.replayed += task.eval_success
    cost.commands.append(task.take_action_cnt)
    task.close_env()


def looks(task: TabletopTask, path: Array) -> Iterator[float]:
    """CPU seconds of each look along ``path``, which other programs disturb least; the first compiles shaders."""
    for command in path[::LOOK_EVERY]:
        start = time.process_time()
        task.get_obs()
        yield time.process_time() - start
        task.take_action(command)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="per task and setting")
    parser.add_argument("--tasks", default=",".join(TASKS))
    given = parser.parse_args()
    names = given.tasks.split(",")
    print(f"{'task':14} setting  expert  replay  commands  s/episode  ms per IK  IK failures")
    for name in names:
        for setting in SETTINGS:
            task, cost = task_class(name)(), Cost()
            for seed in range(given.seeds):
                play(task, seed, setting, cost)
            solved, replayed = f"{cost.solved}/{given.seeds}", f"{cost.replayed}/{given.seeds}"
            episode, ik = statistics.median(cost.expert_seconds), statistics.mean(cost.ik_seconds)
            failed = f"{cost.ik_failures}/{len(cost.ik_seconds)}"
            row = f"{statistics.mean(cost.commands):8.0f} {episode:10.2f} {ik * 1000:10.2f} {failed:>12}"
            print(f"{name:14} {setting:7} {solved:>7} {replayed:>7} {row}", flush=True)
    try:
        print(f"three cameras of 320 x 240 on {probe().device}, ms of CPU per look, first and median of the rest")
    except NotReady as reason:
        print(f"no looks: {reason}")
        return
    for name in names:
        task = task_class(name)()
        task.setup_demo(0, 0)
        task.play_once()
        path = task.path
        task.setup_demo(0, 0, pictures=True)
        first, *rest = looks(task, path)
        print(f"{name:14} {first * 1000:8.0f} {statistics.median(rest) * 1000:8.0f}", flush=True)


if __name__ == "__main__":
    main()
