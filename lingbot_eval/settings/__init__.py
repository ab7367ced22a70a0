"""Every setting of a run, as frozen structs that hydra fills (``conf/``) and that travel as JSON.

No field has a default here: defaults are written once, in ``conf/``. ``msgspec`` checks types and refuses unknown keys.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import yaml

from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.settings.lingbot_va import Count, LingBotAgentSettings

Seconds = Annotated[float, msgspec.Meta(gt=0)]

COMMIT = re.compile("[0-9a-f]{40}")
"""Of a repository on the hub; a branch's name may mean other files tomorrow."""


class LiberoProtocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="benchmark", tag="libero"):
    """One way in which LIBERO numbers are made; ``conf/protocol/libero/*.yaml`` gives each value's source."""

    name: str
    warmup_command: Annotated[tuple[float, ...], msgspec.Meta(min_length=7, max_length=7)]
    """Sent after the initial state is restored, before the first frame that the agent sees."""
    warmup_count: Annotated[int, msgspec.Meta(ge=0)]
    render_size: Count
    """Pixels, square."""
    resize: Count | None
    """Pixels, square, bilinear; None leaves the rendered picture."""
    flip: Literal["none", "vertical", "rotate180"]
    """Applied to the picture as LIBERO returns it, whose row 0 is the bottom of the scene."""
    state_quaternion: Literal["raw", "canonical"]
    """Sign of the end-effector quaternion before it becomes an axis-angle; canonical: w >= 0."""
    gripper: Literal["raw", "binary"]
    """binary: a gripper command below 0 becomes -1 (open), any other +1 (close)."""
    command_limit: Mapping[str, Count]
    """By suite; warm-up not counted."""
    reset: Literal["hard", "soft"]
    """hard: robosuite loads the model anew at every reset."""
    environment: Literal["per-episode", "per-task", "per-task-after-reset"]
    """How many hard resets the environment has behind it when episode k resets: 0, k, or k + 1. It matters to the four
    tasks whose initial conditions open or turn on something (``envs/libero/seeding.py``)."""
    seeding: Literal["per-episode", "per-task", "drawn"]
    """per-episode: numpy's global generator is seeded before every reset. per-task: it is seeded once, and episode k
    gets the state it has at the k-th reset. drawn: upstream never seeds; the plan draws one seed per episode."""
    seed: int
    """Default base seed; ``--seed`` replaces it."""
    seed_block: int
    """per-episode: episode k of every task has seed ``base * seed_block + k``."""
    initial_states: Literal["index", "modulo"]
    """Stored state of episode k: k itself (more episodes than states are refused), or k modulo their number."""
    prompt: Literal["file-name", "bddl"]
    """Where the instruction comes from; the two differ in wording."""
    episodes_per_task: Count


class ToyProtocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="benchmark", tag="toy"):
    """The toy environment's: a point on a line, for checking an installation."""

    name: str
    command_limit: Count
    seed: int
    seed_block: int
    episodes_per_task: Count


Setting = Literal["easy", "hard"]
Split = Literal["seen", "unseen"]


class RoboTwinProtocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="benchmark", tag="robotwin"):
    """One way in which RoboTwin 2.0 numbers are made; ``conf/protocol/robotwin/*.yaml`` gives each value's source.

    Under all of them an episode's scene is one that the task's own scripted expert solves: seeds are tried upwards from
    the first, and the others are left out (``suites/manifest.py``).
    """

    name: str
    seed: int
    """Default base seed; ``--seed`` replaces it."""
    seed_block: Count
    """The first scene tried has seed ``seed_block * (1 + base seed)``."""
    instructions: Mapping[Setting, Split]
    """Which of the task's sentences are drawn from, by setting."""
    commands: Literal["relative", "absolute"]
    """What an agent's poses mean (``envs/robotwin/poses.py``). relative: to the episode's first pose, in LingBot-VA's
    algebra. absolute: in the world frame, quaternion w first."""
    command_limit: Count | None
    """Of every task; None: the task's own (RoboTwin's ``_eval_step_limit.yml``)."""
    success: Literal["any-moment", "after-command"]
    """When ``check_success`` is asked; the first yes ends the episode. any-moment: after every physics step, as
    RoboTwin does, so that a passing state counts. after-command: when a command has been executed."""
    episodes_per_task: Count
    """In each setting."""


class TabletopProtocol(
    RoboTwinProtocol, frozen=True, forbid_unknown_fields=True, tag_field="benchmark", tag="tabletop"
):
    """The embedded suite's, which speaks RoboTwin's task contract."""


Protocol = LiberoProtocol | RoboTwinProtocol | TabletopProtocol | ToyProtocol


class LiberoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="simulator", tag="libero"):
    """LIBERO on this machine; nothing here moves a score."""

    assets: str | None
    download: bool | str | None
    """A commit: fetch assets that are nowhere here, as that commit of the hub's data set has them. False or None: fetch
    nothing. There is no True."""
    gl: Literal["auto", "egl", "osmesa"]
    python: str | None
    """Interpreter of the simulator's process; None: this one."""

    def __post_init__(self) -> None:
        if self.download and not (isinstance(self.download, str) and COMMIT.fullmatch(self.download)):
            given = "true" if self.download is True else self.download
            raise BadInput(
                f"env.download={given}: a commit of the hub is 40 of 0-9, a-f, not {given!r} (valid: a commit, which "
                "https://huggingface.co/datasets/lerobot/libero-assets/commits/main lists; false: nothing is fetched)"
            )


class ToySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="simulator", tag="toy"):
    """The toy simulator, and the faults it shows on purpose."""

    python: str | None
    faults: Mapping[int, Literal["raise", "die", "hang", "stop", "spin", "slow", "eat"]]
    """By seed: what happens at the third command of such an episode."""


class RoboTwinSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="simulator", tag="robotwin"):
    """A RoboTwin checkout on this machine. All but ``root`` and ``python`` can move a score and is in the protocol hash
    as it was resolved."""

    root: str | None
    """The checkout; None: $ROBOTWIN_ROOT."""
    embodiment: Literal["checkout", "tabletop"]
    """checkout: the arms that its ``demo_*.yml`` name, from its assets. tabletop: this package's mesh-free ones, which
    need no download."""
    planner: Literal["auto", "curobo", "mplib"]
    """auto: CuRobo where it imports, else ours on mplib, which avoids no obstacle."""
    shader: Literal["auto", "rt", "default"]
    """rt: ray tracing, as RoboTwin asks for. default: the rasteriser. auto: rt where a GPU draws."""
    denoiser: Literal["oidn", "optix", "none"]
    """Of ray tracing."""
    python: str | None
    """Interpreter of the simulator's process; None: this one."""


class TabletopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="simulator", tag="tabletop"):
    """The embedded suite."""

    python: str | None


SimulatorSettings = LiberoSettings | RoboTwinSettings | TabletopSettings | ToySettings


class EnvSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One environment process: one task of one suite under one protocol."""

    simulator: SimulatorSettings
    protocol: Protocol
    suite: str
    task: str
    commands_per_action: Count
    cameras: bool
    """False: observations hold no pictures, and none is rendered."""
    render: bool
    """True: ``render()`` gives a picture for a person, whatever the observations hold."""


class AgentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    looks: bool
    """Whether it is given pictures; one that looks at none is not made to pay for any."""
    commands_per_action: Count
    path: str | None
    """What it plays from (replay: a run directory's ``actions`` folder); None for agents that need nothing."""
    checkpoint: str | None
    lingbot: LingBotAgentSettings | None
    """Of the agent lingbot-va."""
    sessions: Count
    """Episodes that one worker plays at the same time, with one set of weights."""

    @property
    def imagines(self) -> bool:
        """Whether it predicts what it will see."""
        return self.lingbot is not None


class SuiteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    suites: tuple[str, ...]
    tasks: tuple[str | int, ...]
    """Indices or names; empty: all."""
    settings: tuple[Setting, ...]
    """Where the benchmark has them; else empty."""
    episodes: Count | None
    """Per task; None: the protocol's own number."""
    seed: int | None
    """None: the protocol's own."""
    manifest: str | None
    """RoboTwin and tabletop: folder with scenes that the expert solves. None: one in ``manifests/`` for this machine's
    simulator."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wall time after which a process counts as hung, and the memory that it may take."""

    load_seconds: Seconds
    """A worker: import, and the agent's weights."""
    start_seconds: Seconds
    """A simulator process: import and construction."""
    reset_seconds: Seconds
    command_seconds: Seconds
    episode_seconds: Seconds
    agent_seconds: Seconds
    """An agent in an interpreter of its own: one answer."""
    env_gigabytes: Annotated[float, msgspec.Meta(gt=0)]
    """Memory of a simulator's process and those that it started (resident, 1e9 bytes); above it, they are killed."""


class LocalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="local"):
    """Workers on this machine."""

    gpus: tuple[str | int, ...] | None
    """NVIDIA's, as $CUDA_VISIBLE_DEVICES names them; worker k has the k-th, in turn. Empty: none. None: all that are
    visible; once everything is decided (``workers.decided``): workers see what we see."""


Amount = Annotated[float, msgspec.Meta(ge=0)]


class RaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ray"):
    """Workers on a Ray cluster (``runs/ray_workers.py``). Amounts are what Ray's scheduler counts with, not limits."""

    address: str | None
    """``host:port`` or ``auto``; None: $RAY_ADDRESS, else one of our own on this machine."""
    gpus_per_worker: Amount | None
    """None: one where any node has one, else none."""
    cpus_per_worker: Amount
    """In addition to those of its environments."""
    cpus_per_environment: Amount
    patience_seconds: Seconds
    """How long to wait for room while no worker has any."""


ClusterSettings = LocalSettings | RaySettings


class RunSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    suite: SuiteSettings
    env: SimulatorSettings
    protocol: Protocol
    agent: AgentSettings
    limits: Limits
    cluster: ClusterSettings
    workers: Count | None
    """Processes that play at the same time. None: one per GPU, or one; on Ray: as many as there is room for."""
    video: Literal["auto", "imagined", "on", "off"]
    """imagined: below what the agent saw, what it had imagined. auto: imagined where the agent does, on where it looks
    at pictures anyway, else off."""
    video_every: Count
    """Film every n-th episode of a task."""
    actions: bool
    """Keep every episode's commands, to be played again by the replay agent."""
    tracker: Literal["none", "tensorboard", "wandb"]
    """Where progress goes besides the screen (``trackers/``)."""
    regime: str
    """What the checkpoint was trained on, in the user's words."""

    def __post_init__(self) -> None:
        if self.video == "imagined" and not self.agent.imagines:
            raise BadInput(
                f"video=imagined: the agent {self.agent.name} imagines nothing (valid: auto, on, off; or lingbot-va)"
            )

    @property
    def films(self) -> Literal["imagined", "on", "off"]:
        """``video`` with auto resolved."""
        if self.video == "auto":
            return "imagined" if self.agent.imagines else "on" if self.agent.looks else "off"
        return self.video


def protocol_names(suite: str) -> list[str]:
    """Presets shipped for a benchmark."""
    benchmarks = resources.files("lingbot_eval") / "conf" / "protocol"
    known = sorted(entry.name for entry in benchmarks.iterdir())
    if suite not in known:
        raise UnknownName("benchmark", suite, known)
    folder = benchmarks / suite
    return sorted(entry.name[: -len(".yaml")] for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_protocol(suite: str, name: str) -> Protocol:
    """The preset as shipped, without hydra.

    Raises UnknownName.
    """
    if name not in protocol_names(suite):
        raise UnknownName("protocol", name, protocol_names(suite))
    text = (resources.files("lingbot_eval") / "conf" / "protocol" / suite / f"{name}.yaml").read_text()
    protocol: Protocol = as_struct(yaml.safe_load(text), Protocol)
    return protocol


def protocol_hash(protocol: msgspec.Struct, facts: Mapping[str, str]) -> str:
    """12 hex digits over the preset and the score-moving ``facts`` of this machine (versions, assets)."""
    content = {"preset": to_dict(protocol), "facts": dict(facts)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def as_struct(data: Any, kind: Any) -> Any:
    """Plain data as a checked struct or dataclass.

    Raises BadInput with the path of the value that does not fit, and the valid values where those can be listed.
    """
    try:
        return msgspec.convert(data, kind, str_keys=True)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at ")
        path = path.strip("`").removeprefix("$.")
        choices = _choices(kind, path.split("."))
        valid = f" (valid: {', '.join(choices)})" if choices else ""
        raise BadInput(f"{path or 'settings'}: {what.replace('`', '')}{valid}") from None


def _choices(kind: Any, path: Sequence[str]) -> list[str]:
    """The values of the Literal that ``path`` leads to in a struct, if it leads to one."""
    if get_origin(kind) is Literal:
        return [str(value) for value in get_args(kind)]
    found = [choice for member in get_args(kind) for choice in _choices(member, path)]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and path:
        hints, name = get_type_hints(kind), path[0].partition("[")[0]  # faults[...]
        found += _choices(hints[name], path[1:]) if name in hints else []
    return list(dict.fromkeys(found))


def to_dict(struct: Any) -> dict[str, Any]:
    """A struct or dataclass as plain data that JSON can hold."""
    data: dict[str, Any] = msgspec.to_builtins(struct, str_keys=True)
    return data
