"""LIBERO: four parts of ten tasks each, with fifty stored initial states a task."""

from __future__ import annotations

import re
import zlib
from importlib import metadata
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lingbot_eval.envs.libero import tasks
from lingbot_eval.envs.libero.spec import env_spec
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.settings import EnvSettings, Protocol, SimulatorSettings
from lingbot_eval.settings.libero import LiberoProtocol, LiberoSettings
from lingbot_eval.suites.paper import Paper
from lingbot_eval.suites.suite import Asked, Scenes, Suite, Task, by_seed
from lingbot_eval.types import Episode

if TYPE_CHECKING:
    from lingbot_eval.episode import Env
    from lingbot_eval.suites.machine import Machine


def _make_env(settings: EnvSettings) -> Env:
    from lingbot_eval.envs.libero.env import LiberoEnv  # needs the libero extra

    return LiberoEnv(settings)


def _plan(suite: Suite, asked: Asked) -> list[Episode]:
    protocol, base = _own(asked.protocol), asked.base_seed

    def seed(part: str, task: str, k: int) -> int:
        if protocol.seeding == "per-task":
            return base
        if protocol.seeding == "drawn":
            source = np.random.SeedSequence([base, zlib.crc32(f"{part}/{task}".encode()), k])
            return int(source.generate_state(1)[0] & 0x7FFF_FFFF)
        return base * protocol.seed_block + k

    def instruction(part: str, task: str) -> str:
        return _bddl_sentence(part, task) if protocol.prompt == "bddl" else tasks.instruction(task)

    states = tasks.STORED_STATES
    if protocol.initial_states == "index" and asked.episodes > states:
        suite.chosen(asked.suite)  # a wrong name is the more useful complaint
        raise BadInput(
            f"{asked.episodes} episodes per task: protocol {protocol.name} gives episode k stored state k, and LIBERO "
            f"stores {states} per task (strict, lingbot-va and lerobot begin again after the last)"
        )
    sampled = protocol.initial_states == "sampled"
    return by_seed(suite, asked, instruction, seed, lambda k: None if sampled else k % states)


def _bddl_sentence(part: str, task: str) -> str:
    from lingbot_eval.envs.libero.assets import libero_root

    text = (libero_root() / "bddl_files" / part / f"{task}.bddl").read_text()
    found = re.search(r"\(:language ([^)]*)\)", text)
    if found is None:
        raise BadInput(
            f"{task}.bddl states no instruction (:language); reinstall hf-libero, or use protocol.prompt=file-name"
        )
    return found[1].strip()


def _command_limit(protocol: Protocol, task: Task) -> int:
    return _own(protocol).command_limit[task[0]]


def _remarks(protocol: Protocol) -> list[str]:
    if _own(protocol).seeding != "drawn":
        return []
    return [f"protocol {protocol.name} never seeds its scenes: plan/ holds one drawn seed per episode"]


def _look_around(simulator: SimulatorSettings, draws: bool, scenes: Scenes) -> Machine:
    from lingbot_eval.envs.gl import choose
    from lingbot_eval.envs.libero.assets import INSTALL, assets_hash, find_assets
    from lingbot_eval.envs.libero.process import versions
    from lingbot_eval.suites.machine import Machine, python_versions

    assert isinstance(simulator, LiberoSettings)  # noqa: S101  (the suite's own)
    try:
        facts = versions()
    except metadata.PackageNotFoundError as error:
        raise NotReady(f"LIBERO is not installed ({error.name} is missing): {INSTALL}") from None
    assets = find_assets(simulator.assets, simulator.download)
    notes, said = {**python_versions(), "assets_folder": str(assets)}, tuple[str, ...]()
    resolved = msgspec.structs.replace(simulator, assets=str(assets))
    if draws:
        backend, frame = choose(simulator.gl)
        resolved = msgspec.structs.replace(resolved, gl=backend)
        notes |= {"gl": backend, "gl_device": frame.device}
        said = (frame.slow,) if frame.slow else ()
    return Machine(resolved, {**facts, "assets": assets_hash(assets)}, notes, said)


def _own(protocol: Protocol) -> LiberoProtocol:
    assert isinstance(protocol, LiberoProtocol)  # noqa: S101  (the suite's own)
    return protocol


SUITE = Suite(
    name="libero",
    title="LIBERO",
    tasks=tasks.SUITES,
    protocol=LiberoProtocol,
    simulator=LiberoSettings,
    make_env=_make_env,
    env_spec=env_spec,
    plan=_plan,
    command_limit=_command_limit,
    look_around=_look_around,
    default_protocol="strict",
    default_agent="lingbot-va",
    expert="lingbot_eval.agents.experts.libero.expert:LiberoExpert",
    aliases=tasks.ALIASES,
    post_training="libero",
    paper=Paper(
        "LIBERO",
        {"libero_spatial": "Spatial", "libero_object": "Object", "libero_goal": "Goal", "libero_10": "Long"},
    ),
    remarks=_remarks,
    optional=False,
    places={"assets": ("assets", "LIBERO's assets, as env.assets")},
    to_collect={
        "protocol.initial_states": "sampled",  # the stored ones are evaluated
        "protocol.seeding": "per-episode",
        "protocol.seed_block": "10000",
    },
    moves_a_score={
        "facts.mujoco": "trajectories differ between versions; 3.4 tilts a bowl of libero_spatial (lerobot#4390)",
    },
)
