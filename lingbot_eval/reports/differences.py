"""What differs between two experiments: what can move a score first, then the rest."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lingbot_eval.runs.experiment import Experiment
from lingbot_eval.suites import installed, suite_names
from lingbot_eval.types import Episode, EpisodeRecord, Provenance

_LAST_BITS = "sums in another order, whose last bits a closed loop amplifies (docs/decisions/10-sessions.md)"
_POLICY = "the policy computes with it"
_PICTURES = "draws the pictures; a GPU's have not been compared with Mesa's (docs/decisions/06-records.md)"
_LIBRARY = "the simulators and our environments compute with it: rotations, controllers, paths, pictures"

_EXPERIMENT: Mapping[str, str] = {
    "suite": "other scenes",
    "protocol": "the benchmark's conventions; what each did to somebody's number: docs/pitfalls.md",
    "facts": "the simulator, its assets, planner and shader, as the protocol hash has them: docs/pitfalls.md",
    "agent": "another policy, or other settings of it",
    "checkpoint": "other weights, or other recordings",
    "regime": "other training data, in the user's words (docs/pitfalls.md: 70/39 against 72.8/72.8 for one method)",
    "trained": "other training data, as the checkpoints say themselves",
}
_COMPUTED_WITH: Mapping[str, str] = {
    "versions.lingbot_eval": "this package's own code",
    "versions.git": "this package's own code",
    "versions.code": "this package's own code",
    "versions.transformers": "5.0 to 5.2 leave the text embedding uninitialised (huggingface/transformers#43880)",
    "versions.tokenizers": "other token ids for the same words (docs/pitfalls.md)",
    "versions.diffusers": "the VAE's code",
    "versions.precision": _LAST_BITS,
    "versions.attention": _LAST_BITS,
    "versions.torch": _LAST_BITS,
    "versions.device": _LAST_BITS,
    "versions.gpu": _LAST_BITS,
    "versions.cuda": _LAST_BITS,
    "versions.cudnn": _LAST_BITS,
    "versions.nvidia_driver": _LAST_BITS,
    "versions.cpu": "mathematical libraries choose their code by processor: last bits of physics, and of a model there",
    "settings.agent.sessions": _LAST_BITS,
    "settings.agent.lingbot.graphs": _LAST_BITS,
    "settings.agent.lingbot.text_device": _LAST_BITS,
    "settings.agent.lingbot.vae_device": _LAST_BITS,
    "versions.numpy": "its Generator promises no stream across versions (NEP 19); and rounding",
    "versions.agent_python": _POLICY,
    "versions.agent_numpy": _POLICY,
    "versions.agent_torch": _LAST_BITS,
    "versions.agent_jax": _LAST_BITS,
    "versions.agent_jaxlib": _LAST_BITS,
    "versions.agent_tensorflow": _LAST_BITS,
    "versions.agent_onnxruntime": _LAST_BITS,
    "versions.agent_transformers": _POLICY,
    "versions.agent_diffusers": _POLICY,
    "versions.agent_lerobot": _POLICY,
    "versions.agent_gpu": _LAST_BITS,
    "versions.scipy": _LIBRARY,
    "versions.numba": _LIBRARY,
    "versions.pillow": _LIBRARY,
    "versions.toppra": _LIBRARY,
    "versions.gl": _PICTURES,
    "versions.gl_device": _PICTURES,
    "versions.vulkan_device": _PICTURES,
}
"""These two say why a fact of a name, or of one that begins so, can move a score, whatever is played."""


@functools.cache
def moves_a_score() -> Mapping[str, str]:
    """Why a fact of this name, or of one that begins so, can move a score: what is true of all benchmarks, and what
    each installed one says of its own. Anything else moves none that we know of."""
    found: dict[str, str] = {}
    for suite in filter(None, map(installed, suite_names())):
        found |= suite.moves_a_score
    ordered: dict[str, str] = {}
    for name, why in _EXPERIMENT.items():
        ordered |= {name: why, **{own: why for own, why in found.items() if own.startswith(f"{name}.")}}
    return {**ordered, **found, **_COMPUTED_WITH}


CONSEQUENCES = ("protocol_hash", "suite.plan", "suite.episodes")
"""Facts of an experiment that differ because something else does, which is named."""


@dataclass(frozen=True)
class Difference:
    name: str
    a: str
    b: str

    @property
    def why(self) -> str:
        """Why it can move a score; empty where it moves none that we know of."""
        return moves_a_score().get(_rule(self.name), "")

    def __str__(self) -> str:
        reason = f" ({self.why})" if self.why else ""
        return f"{self.name}: A {self.a or 'nothing'}, B {self.b or 'nothing'}{reason}"


Facts = Mapping[str, str]
"""Values by dotted name (``protocol.seed``, ``versions.torch``); several where one run had several."""


def facts(experiment: Experiment, provenances: Iterable[Provenance], settings: Iterable[Mapping[str, object]]) -> Facts:
    """Everything that is known of a run: what run.json identifies it by, what its records say that they were computed
    with, and its sessions' settings."""
    found: dict[str, list[object]] = {}
    for name, value in _leaves(experiment.as_dict()):
        if name not in CONSEQUENCES:
            found[name] = [value]
    for who in provenances:
        versions = {name: value for name, value in who.versions.items() if name not in experiment.facts}
        for name, value in {**versions, "host": who.host}.items():
            found.setdefault(f"versions.{name}", []).append(value)
    for one in settings:
        for name, value in _leaves(one):
            if name not in found and not name.startswith("suite."):
                found.setdefault(f"settings.{name}", []).append(value)
    return {name: " and ".join(sorted({_text(value) for value in values})) for name, values in found.items()}


def differences(a: Facts, b: Facts) -> list[Difference]:
    """In the order of :func:`moves_a_score`, then by name; what something is called before what it consists of."""
    order = list(moves_a_score())
    found = [
        Difference(name, a.get(name, ""), b.get(name, "")) for name in sorted({*a, *b}) if a.get(name) != b.get(name)
    ]
    found.sort(key=lambda one: not one.name.endswith(".name"))
    return sorted(found, key=lambda one: order.index(_rule(one.name)) if one.why else len(order))


def plan_differences(a: Sequence[Episode], b: Sequence[Episode]) -> list[str]:
    """What one plan has that the other has not, in words."""
    ours, theirs = ({episode.id: episode for episode in plan} for plan in (a, b))
    words = []
    for label, plan, other in (("A", ours, theirs), ("B", theirs, ours)):
        if extra := [id for id in plan if id not in other]:
            words.append(f"plan: only in {label}: {extra[0]}" + (f" and {len(extra) - 1} more" if extra[1:] else ""))
    changed = [id for id in ours if id in theirs and ours[id] != theirs[id]]
    if changed:
        words.append(
            f"plan: {len(changed)} episodes are told or numbered otherwise, {changed[0]}: A {ours[changed[0]]}, "
            f"B {theirs[changed[0]]}"
        )
    return words


def outcome_differences(a: Mapping[str, EpisodeRecord], b: Mapping[str, EpisodeRecord]) -> str:
    """One sentence about the episodes that both have played."""
    both = [(one, b[id]) for id, one in a.items() if id in b]
    parted = [(one, other) for one, other in both if one.outcome is not other.outcome]
    if not parted:
        return f"{len(both)} episodes were played by both and ended alike."
    one, other = parted[0]
    return (
        f"{len(both)} episodes were played by both, {len(parted)} ended otherwise; the first: {one.episode.id}, "
        f"A {one.outcome.value}, B {other.outcome.value}."
    )


def _rule(name: str) -> str:
    """The most particular entry of :func:`moves_a_score` for a name; empty where there is none."""
    while name and name not in moves_a_score():
        name = name.rpartition(".")[0]
    return name


def _leaves(values: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
