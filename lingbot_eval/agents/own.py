"""Play an agent of the user's own, a class on the Python path or in a file, in the worker's process.

``remote.py`` plays it in another interpreter. Either way an object is made for each lane of a worker, and kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
import numpy as np

from lingbot_eval.agents.located import Located, located
from lingbot_eval.agents.options import SPEC, Arguments, arguments, plain
from lingbot_eval.child import Answer
from lingbot_eval.envs.spaces import check_actions
from lingbot_eval.errors import AgentRaised, BadAction, BadInput, NotReady
from lingbot_eval.hashes import sha256
from lingbot_eval.settings.own_agent import OwnAgentSettings
from lingbot_eval.types import Actions, Agent, EnvSpec, Observation

Count = Annotated[int, msgspec.Meta(ge=1)]


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A class says this of itself in attributes of these names; None: it says nothing."""

    cameras: tuple[str, ...] | None = None
    """The cameras that it looks at."""
    picture_size: tuple[Count, Count] | None = None
    """Height and width in pixels of each picture."""
    columns: tuple[str, ...] | None = None
    """The name of each number of a command."""
    commands_per_action: Count | None = None
    """K: the commands that it gives between two looks."""
    looks: bool = True
    """Whether it is given pictures."""


class Described(Answer):
    """This is known of a class, and of the options that it is to be made with, before an object is made."""

    entry: str
    """The class's entry, with an absolute path."""
    options: dict[str, Any]
    """The options, with absolute paths."""
    paths: tuple[str, ...]
    """The options that are files or folders."""
    content: str
    declared: Declared
    remarks: tuple[str, ...]
    """What whoever starts a run should know of the options, a line each."""
    versions: dict[str, str]
    """What it computes with, for the record."""


class Declares(Answer):
    """A class says this of itself."""

    declared: Declared


def described(entry: str, options: Mapping[str, Any], fresh: bool = False) -> Described:
    """Import the class and check the ``options``. With ``fresh``, files are read again for the hash, whatever is
    remembered of them.

    Raises BadInput, and NotReady for a file that changes while it is read.
    """
    found = located(entry)
    given = arguments(found.kind, options)
    return Described(
        entry=found.entry,
        options={
            name: plain(value) if name in given.hold_paths else options[name] for name, value in given.values.items()
        },
        paths=tuple(sorted(given.hold_paths)),
        content=content_hash(found, given, fresh),
        declared=_declared(found.kind),
        remarks=given.remarks,
        versions=computes_with(found),
    )


def declares(entry: str) -> Declares:
    """Import the class and read what it declares. Raises BadInput."""
    return Declares(_declared(located(entry).kind))


def _declared(kind: type[Any]) -> Declared:
    said = {name: getattr(kind, name) for name in Declared.__struct_fields__ if hasattr(kind, name)}
    said = {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}
    try:
        return msgspec.convert(said, Declared)
    except msgspec.ValidationError as error:
        what, _, path = str(error).replace("`", "").partition(" - at $.")
        raise BadInput(f"{kind.__name__}.{path}: {what}") from None


LIBRARIES = ("torch", "jax", "jaxlib", "tensorflow", "onnxruntime", "transformers", "diffusers", "lerobot")
"""The libraries whose versions can move what a policy answers; numpy is in every process."""


def computes_with(found: Located) -> dict[str, str]:
    """Return the versions of Python, numpy and those LIBRARIES that the class has imported, or its sources say that it
    may import later; with any of them, the machine's GPUs."""
    imported = {*sys.modules, *found.imports()}
    versions = {"agent_python": platform.python_version(), "agent_numpy": np.__version__}
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            if name in imported:
                versions[f"agent_{name}"] = metadata.version(name)
    if len(versions) > 2 and (gpus := _gpus()):
        versions["agent_gpu"] = gpus
    return versions


def _gpus() -> str:
    """Return the names of NVIDIA's GPUs as its driver gives them, which costs no library; empty where none are."""
    names = set()
    for file in Path("/proc/driver/nvidia/gpus").glob("*/information"):
        with contextlib.suppress(OSError):
            names |= {line.partition(":")[2].strip() for line in file.read_text().splitlines() if "Model:" in line}
    return " and ".join(sorted(names))


def content_hash(found: Located, given: Arguments, fresh: bool = False) -> str:
    """Return 12 hex digits over what makes the agent what it is: the source of its module and of the local modules that
    it imports (``Located.sources``), and every file in the paths that it is given, links followed, wherever all of it
    lies.

    Raises BadInput for what cannot be read, and NotReady for what changes meanwhile.
    """
    files = [("source", name, file) for name, file in found.sources().items()]
    for option, path in given.paths.items():
        files += [(option, name, file) for name, file in _below(path)]
    digest = hashlib.sha256()
    for option in sorted(given.hold_paths - given.paths.keys()):  # the rest of a list with paths in it counts, too
        digest.update(json.dumps([option, _without_places(given.values[option])], sort_keys=True).encode())
    for option, name, file in sorted(files):
        try:
            digest.update(json.dumps([option, name, sha256(file, fresh).hex()]).encode())
        except OSError as error:
            raise BadInput(f"{file} cannot be read: {error.strerror}") from None
    return digest.hexdigest()[:12]


def _without_places(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_places(each) for each in value]
    if isinstance(value, dict):
        return {key: _without_places(each) for key, each in value.items()}
    return None if isinstance(value, Path) else value


def _below(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files in a folder with their names below it, without Python's own caches; of a file, yield itself."""
    if path.is_file():
        yield "", path
        return
    seen = set[str]()
    for folder, folders, names in os.walk(path, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__"]
        if (real := os.path.realpath(folder)) in seen:
            folders.clear()  # a link that leads back
            continue
        seen.add(real)
        for name in names:
            file = Path(folder, name)
            if not file.is_file():
                raise BadInput(
                    f"{file} is a link to nothing, or no regular file; the agent's folder must hold files alone, "
                    "because their content is part of the run's identity"
                )
            yield file.relative_to(path).as_posix(), file


def load(settings: OwnAgentSettings) -> Callable[[EnvSpec], Agent]:
    """Return what a worker keeps for a run: a function that gives the agent of the calling thread for a specification.

    Raises BadInput, and NotReady for a class that is not the one that was checked.
    """
    return PerLane(factory(settings.entry, settings.options, settings.content))


def factory(entry: str, options: Mapping[str, Any], content: str) -> Callable[[EnvSpec], OwnAgent]:
    """Return the function that makes objects of the class. ``content``: the hash that it must have; empty for any.

    Raises as :func:`load`.
    """
    found = located(entry)
    given = arguments(found.kind, options)
    if content and (now := content_hash(found, given)) != content:
        raise NotReady(
            f"{found.kind.__name__} is not what was checked before the run ({content}): its source or its files say "
            f"{now} now, which is another experiment; start the run again"
        )
    return lambda spec: OwnAgent(found.kind, given, spec)


class Kept(Agent, Protocol):
    """This is an agent that is kept for many episodes."""

    def ready(self) -> None:
        """Have what plays the next episode in the place of what failed in the last one. The worker asks before an
        episode begins, so that loading takes none of its time."""


class PerLane:
    """It makes an agent for each thread, and another where the specification changes."""

    def __init__(self, make: Callable[[EnvSpec], Kept]) -> None:
        self._make, self._kept = make, threading.local()

    def __call__(self, spec: EnvSpec) -> Agent:
        if getattr(self._kept, "spec", None) != spec:
            self._kept.spec = self._kept.agent = None  # what it holds is free before another is made
            self._kept.agent, self._kept.spec = self._make(spec), spec
        else:
            self._kept.agent.ready()
        agent: Agent = self._kept.agent
        return agent


class OwnAgent:
    """An object of the user's class, whose answers are looked at before they are played.

    One that raised is not asked again: the next episode has another.
    """

    def __init__(self, kind: type[Any], given: Arguments, spec: EnvSpec) -> None:
        self._kind, self._given, self._spec = kind, given, spec
        self._object = self._made()

    def _made(self) -> Any:
        with self._once():
            return self._kind(**self._given.values, **({SPEC: self._spec} if self._given.wants_spec else {}))

    def ready(self) -> None:
        if self._object is None:
            self._object = self._made()

    def reset(self, instruction: str, *, seed: int) -> None:
        self.ready()
        with self._once():
            self._object.reset(instruction, seed=seed)

    def act(self, frames: Sequence[Observation]) -> Actions:
        """Return the agent's next actions. Raises BadAction for anything but float32 (N, K, D) of numbers."""
        with self._once():
            actions = self._object.act(frames)
        return checked(actions, self._spec, self._kind.__name__)

    @contextmanager
    def _once(self) -> Iterator[None]:
        try:
            yield
        except SystemExit as error:  # it would end the worker's thread without a word
            self._object = None
            words = f"{self._kind.__name__} raised SystemExit: {error}"
            raise AgentRaised(f"{words}\n{traceback.format_exc()}") from None
        except BaseException:
            self._object = None
            raise


def checked(actions: Any, spec: EnvSpec, who: str) -> Actions:
    """Return ``actions`` as they are: nothing is cast, trimmed or padded.

    Raises BadAction for anything but float32 (N, K, D) of numbers, and says what would make it that.
    """
    k, width = spec.commands_per_action, len(spec.columns)
    wanted = f"commands here are a numpy array, float32 (N, {k}, {width}): actions, commands of each, columns"
    if not isinstance(actions, np.ndarray):
        how = "it.cpu().numpy()" if hasattr(actions, "cpu") else "np.asarray(it, np.float32)"
        raise BadAction(f"{who}.act returned a {type(actions).__name__}; {wanted}. Return {how}")
    found = f"{who}.act returned {actions.dtype} {actions.shape}; {wanted}"
    if actions.dtype != np.float32:
        raise BadAction(f"{found}. Return it.astype(np.float32)")
    if actions.ndim != 3 or actions.shape[1:] != (k, width):
        raise BadAction(found + _as_rows(actions.shape, k, width))
    check_actions(actions)
    return actions


def _as_rows(shape: tuple[int, ...], k: int, width: int) -> str:
    """Say what would give an array of ``shape`` the shape of actions; empty where it has other columns."""
    if shape in ((k, width), (width,) if k == 1 else None):
        return f". Return it.reshape(1, {k}, {width}), which is one action"
    if shape[-1:] == (width,) and int(np.prod(shape)) % (k * width) == 0:
        return f". Return it.reshape(-1, {k}, {width}), if that is what its rows are"
    return ""
