"""The scenes of RoboTwin and tabletop: found where they are missing, said in a few lines."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lingbot_eval.envs.check import Machine
from lingbot_eval.errors import NotReady
from lingbot_eval.plain import say
from lingbot_eval.settings import RoboTwinProtocol, RunSettings
from lingbot_eval.suites.manifest import (
    Audition,
    Manifest,
    Wanted,
    content_hash,
    default_folder,
    episodes,
    wanted_scenes,
)
from lingbot_eval.suites.search import search as search_scenes
from lingbot_eval.types import Episode


def scenes_of(chosen: RunSettings) -> list[tuple[str, str]]:
    """(task, setting) pairs of the experiment.

    Raises UnknownName, BadInput.
    """
    return [(want.task, want.setting) for want in wanted_scenes(chosen.suite, _protocol(chosen))]


def manifest_of(chosen: RunSettings, machine: Machine) -> Manifest:
    """The one that is asked for, else this machine's simulator's."""
    suite = chosen.suite
    return Manifest(Path(suite.manifest) if suite.manifest else default_folder(suite.name, machine.facts))


def with_scenes(chosen: RunSettings, machine: Machine, search: bool) -> list[Episode]:
    """The planned episodes; what the manifest lacks is looked for first, or with ``search`` False refused.

    Raises NotReady.
    """
    protocol, suite = _protocol(chosen), chosen.suite
    wanted = wanted_scenes(suite, protocol)
    manifest = manifest_of(chosen, machine)
    folder = manifest.folder
    differences = manifest.open(suite.name, machine.facts)
    for difference in differences:
        say(f"{folder} was made on another simulator: {difference}", file=sys.stderr)
    for sentence in manifest.warnings(wanted):
        say(sentence, file=sys.stderr)
    lacking = [want for want in wanted if len(manifest.scenes(want)) < want.count]
    if lacking and differences:
        raise NotReady(f"{folder} lacks scenes of {_few(lacking)}, and can only be extended where it was made")
    if lacking and not search:
        raise NotReady(f"{folder} lacks scenes of {_few(lacking)}; lingbot-eval plan {suite.name} looks for them")
    if lacking:
        say(f"{folder}: looking for scenes that the expert solves, of {_few(lacking)}", file=sys.stderr)
        teller = _Teller(manifest)
        simulator, workers = machine.simulator, chosen.workers or 1
        search_scenes(
            manifest, lacking, suite.name, simulator, protocol, chosen.limits, workers, teller.tell, teller.waits
        )
    say(f"{folder}: scenes {content_hash(manifest, wanted)}", file=sys.stderr)
    return episodes(manifest, wanted, suite.name, protocol)


class _Teller:
    """One line when a task's scenes are found."""

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


def _protocol(chosen: RunSettings) -> RoboTwinProtocol:
    assert isinstance(chosen.protocol, RoboTwinProtocol)  # noqa: S101  (of these suites it always is)
    return chosen.protocol
