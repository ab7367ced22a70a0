"""Plan the episodes of a benchmark whose scenes its expert solves first, and look for scenes that are missing."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.plain import say
from lingbot_eval.settings import Protocol, SceneProtocol, SuiteSettings
from lingbot_eval.suites.machine import Machine
from lingbot_eval.suites.manifest import Audition, Manifest, Wanted, content_hash, default_folder
from lingbot_eval.suites.search import search as search_scenes
from lingbot_eval.suites.suite import Asked, Suite
from lingbot_eval.types import Episode


def wanted_scenes(suite: Suite, asked: Asked) -> list[Wanted]:
    """Return the scenes that the experiment needs, setting by setting.

    Raises UnknownName, BadInput.
    """
    tasks = [task for _, task in suite.chosen(asked.suite)]
    if not asked.suite.settings:
        raise BadInput("suite.settings is empty; say --setting easy, hard or both")
    first = asked.protocol.seed_block * (1 + asked.base_seed)
    if asked.base_seed < 0 or first >= 2**31:
        raise BadInput(f"seed {asked.base_seed} starts at {first}; scenes have seeds 0..{2**31 - 1}")
    settings = dict.fromkeys(asked.suite.settings)
    return [Wanted(task, setting, first, asked.episodes) for setting in settings for task in tasks]


def manifest_of(asked: SuiteSettings, machine: Machine) -> Manifest:
    """Return the manifest that is asked for, else that of this machine's simulator."""
    return Manifest(Path(asked.manifest) if asked.manifest else default_folder(asked.name, machine.facts))


def plan_from_scenes(suite: Suite, asked: Asked) -> list[Episode]:
    """Plan one episode for each scene (``Suite.plan``). Scenes that the manifest lacks are looked for first where
    ``asked.search`` says so; otherwise this raises NotReady.

    Raises UnknownName, BadInput, NotReady.
    """
    wanted, machine = wanted_scenes(suite, asked), asked.machine
    if machine is None:
        raise NotReady(
            f"which episodes {suite.name} has depends on its simulator, and nobody has looked at it yet: run "
            f"`lingbot-eval plan {suite.name}`"
        )
    manifest = manifest_of(asked.suite, machine)
    folder = manifest.folder
    differences = manifest.open(suite.name, machine.facts)
    for difference in differences:
        say(f"{folder} was made on another simulator: {difference}", file=sys.stderr)
    for sentence in manifest.warnings(wanted):
        say(sentence, file=sys.stderr)
    lacking = [want for want in wanted if len(manifest.scenes(want)) < want.count]
    if lacking and differences:
        raise NotReady(f"{folder} lacks scenes of {_few(lacking)}, and can only be extended where it was made")
    if lacking and (not asked.search or asked.limits is None):
        raise NotReady(f"{folder} lacks scenes of {_few(lacking)}; lingbot-eval plan {suite.name} looks for them")
    if lacking and asked.limits is not None:
        say(f"{folder}: looking for scenes that the expert solves, of {_few(lacking)}", file=sys.stderr)
        teller, protocol = _Teller(manifest), asked.protocol
        search_scenes(
            manifest,
            lacking,
            suite.name,
            machine.simulator,
            protocol,
            asked.limits,
            asked.workers,
            teller.tell,
            teller.waits,
        )
    say(f"{folder}: scenes {content_hash(manifest, wanted)}", file=sys.stderr)
    return episodes(manifest, wanted, suite.name, asked.protocol)


def episodes(manifest: Manifest, wanted: Sequence[Wanted], suite: str, protocol: Protocol) -> list[Episode]:
    """Return one episode for each scene.

    Raises NotReady where the manifest has too few.
    """
    assert isinstance(protocol, SceneProtocol)  # noqa: S101  (that of every suite with a manifest)
    planned = []
    for want in wanted:
        found = manifest.scenes(want)
        if len(found) < want.count:
            raise NotReady(f"{manifest.folder} has {len(found)} of {want.count} scenes of {want.task} {want.setting}")
        split = protocol.instructions[want.setting]
        if lacking := [scene.seed for scene in found if split not in scene.sentences]:
            raise NotReady(
                f"{manifest.folder} has no {split} sentence of {want.task} {want.setting}, seed {lacking[0]}"
            )
        planned += [
            Episode(suite, want.task, scene.seed, scene.sentences[split], setting=want.setting, index=k)
            for k, scene in enumerate(found)
        ]
    return planned


class _Teller:
    """It prints one line when a task's scenes are found."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest, self._lock = manifest, threading.Lock()
        self._outcomes: dict[Wanted, Counter[str]] = {}

    def tell(self, want: Wanted, audition: Audition) -> None:
        with self._lock:
            outcomes = self._outcomes.setdefault(want, Counter())
            outcomes[audition.outcome] += 1
            found = len(self._manifest.scenes(want)) + (audition.outcome == "solved")
            if found == want.count:
                others = ", ".join(f"{n} {name}" for name, n in sorted(outcomes.items()) if name != "solved")
                say(f"  {want.task} {want.setting}: {found} scenes{f' ({others})' if others else ''}", file=sys.stderr)

    def waits(self, wanted: Sequence[Wanted]) -> None:
        say(f"  waiting for another process, which looks for scenes of {_few(wanted)}", file=sys.stderr)


def _few(wanted: Sequence[Wanted]) -> str:
    names = [f"{want.task} {want.setting}" for want in wanted]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
