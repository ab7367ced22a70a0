"""Decide every episode before anything runs: scene, seed, sentence."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Collection, Iterable, Sequence

import msgspec
import numpy as np

from lingbot_eval.envs import testing
from lingbot_eval.envs.libero import tasks as libero_tasks
from lingbot_eval.envs.libero.assets import libero_root
from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.settings import LiberoProtocol, Protocol, RoboTwinProtocol, SuiteSettings, ToyProtocol
from lingbot_eval.types import Episode

LARGEST_SEED = 2**32 - 1
"""What numpy's global generator takes."""


def plan(suite: SuiteSettings, protocol: Protocol) -> list[Episode]:
    """Every episode of the experiment, task by task.

    Raises UnknownName for suites and tasks, BadInput for impossible counts and seeds.
    """
    if not suite.suites:
        raise BadInput("suite.suites is empty: nothing to play")
    if isinstance(protocol, RoboTwinProtocol):
        raise BadInput(f"the episodes of {suite.name} come from a manifest of scenes (manifest.py)")
    if isinstance(protocol, LiberoProtocol):
        names = [full for name in suite.suites for full in libero_tasks.suite_names(name)]
        tasks = {name: libero_tasks.SUITES[name] for name in dict.fromkeys(names)}
    else:
        for name in suite.suites:
            if name != "toy":
                raise UnknownName("toy suite", name, ["toy"])
        tasks = {"toy": tuple(testing.TASKS)}
    count = suite.episodes or protocol.episodes_per_task
    base = protocol.seed if suite.seed is None else suite.seed
    chosen = _chosen(tasks, [str(task) for task in suite.tasks])
    episodes = [episode for name, task in chosen for episode in _episodes(protocol, name, task, count, base)]
    if len({episode.id for episode in episodes}) < len(episodes):
        raise BadInput(
            f"{count} episodes per task, but protocol {protocol.name} has fewer different ones: with one seed per task "
            "each stored state can be played once"
        )
    return episodes


def shard(episodes: Sequence[Episode], text: str) -> list[Episode]:
    """``i/n``: the i-th of n slices by position in the plan, i from 0; every n-th episode, so that each has a share of
    every task. All of them are the plan, and no two have an episode in common.

    Raises BadInput.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
    if match is None or int(match[1]) >= int(match[2]):
        raise BadInput(f"--shard {text}: i/n, with i in 0..n-1, as in --shard 0/8")
    return list(episodes[int(match[1]) :: int(match[2])])


def remaining(episodes: Sequence[Episode], done: Collection[str]) -> list[Episode]:
    """The episodes whose ids are not in ``done``; resuming a run is this and nothing more."""
    return [episode for episode in episodes if episode.id not in done]


Task = tuple[str, str, str]
"""Suite, task, setting."""


def task_of(episode: Episode) -> Task:
    return (episode.suite, episode.task, episode.setting)


def by_task(episodes: Iterable[Episode]) -> dict[Task, list[Episode]]:
    """In the order of the tasks' first episodes."""
    tasks: dict[Task, list[Episode]] = {}
    for episode in episodes:
        tasks.setdefault(task_of(episode), []).append(episode)
    return tasks


def to_lines(episodes: Iterable[Episode]) -> bytes:
    """The plan as it is kept and hashed: one JSON object per line."""
    return b"".join(msgspec.json.encode(episode) + b"\n" for episode in episodes)


def plan_hash(episodes: Iterable[Episode]) -> str:
    return lines_hash(to_lines([episode]) for episode in episodes)


def lines_hash(pieces: Iterable[bytes]) -> str:
    """Of a plan as it is kept, in pieces of any size."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()[:12]


def _chosen(tasks: dict[str, tuple[str, ...]], wanted: Sequence[str]) -> list[tuple[str, str]]:
    """(suite, task) pairs in the benchmark's order; an index counts within each suite."""
    for given in wanted:
        known = [task for names in tasks.values() for task in names]
        largest = max(len(names) for names in tasks.values()) - 1
        if not (given in known or (given.isdecimal() and int(given) <= largest)):
            raise UnknownName(f"task (an index 0..{largest} or a name)", given, known)
    return [
        (suite, task)
        for suite, names in tasks.items()
        for index, task in enumerate(names)
        if not wanted or task in wanted or str(index) in {str(int(w)) for w in wanted if w.isdecimal()}
    ]


def _episodes(protocol: LiberoProtocol | ToyProtocol, suite: str, task: str, count: int, base: int) -> list[Episode]:
    if base < 0:
        raise BadInput(f"seed {base} is negative; numpy takes 0..{LARGEST_SEED}")
    seeds = [_seed(protocol, f"{suite}/{task}", base, k) for k in range(count)]
    if min(seeds) < 0 or max(seeds) > LARGEST_SEED:
        raise BadInput(f"seed {base} gives episode seeds {min(seeds)}..{max(seeds)}; numpy takes 0..{LARGEST_SEED}")
    if isinstance(protocol, ToyProtocol):
        sentence = testing.TASKS[task]
        return [Episode(suite, task, seed, sentence, index=k) for k, seed in enumerate(seeds)]
    sentence = _bddl_sentence(suite, task) if protocol.prompt == "bddl" else libero_tasks.instruction(task)
    states = libero_tasks.STORED_STATES
    if protocol.initial_states == "index" and count > states:
        raise BadInput(
            f"{count} episodes per task: protocol {protocol.name} gives episode k stored state k, and LIBERO stores "
            f"{states} per task (strict, lingbot-va and lerobot begin again after the last)"
        )
    return [Episode(suite, task, seed, sentence, initial_state=k % states, index=k) for k, seed in enumerate(seeds)]


def _seed(protocol: LiberoProtocol | ToyProtocol, task: str, base: int, k: int) -> int:
    if isinstance(protocol, LiberoProtocol) and protocol.seeding == "per-task":
        return base
    if isinstance(protocol, LiberoProtocol) and protocol.seeding == "drawn":
        source = np.random.SeedSequence([base, zlib.crc32(task.encode()), k])
        return int(source.generate_state(1)[0] & 0x7FFF_FFFF)
    return base * protocol.seed_block + k


def _bddl_sentence(suite: str, task: str) -> str:
    text = (libero_root() / "bddl_files" / suite / f"{task}.bddl").read_text()
    found = re.search(r"\(:language ([^)]*)\)", text)
    if found is None:
        raise BadInput(f"{task}.bddl has no (:language ...)")
    return found[1].strip()
