"""``lingbot-eval verify RUN``: play a few recorded episodes again and compare."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml

from lingbot_eval.cli.overview import reason
from lingbot_eval.cli.places import content
from lingbot_eval.cli.report import warn
from lingbot_eval.cli.screen import screen
from lingbot_eval.errors import BadInput, RunMismatch
from lingbot_eval.names import actions_name
from lingbot_eval.reports.differences import differences, facts
from lingbot_eval.runs import contents
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.evaluation import Evaluation, prepare
from lingbot_eval.runs.recorded import actions_of, settings_of
from lingbot_eval.runs.run_json import CoordinatorFile
from lingbot_eval.runs.settings import run_settings
from lingbot_eval.settings import LocalSettings, RunSettings, as_struct, to_dict
from lingbot_eval.types import Actions, EpisodeRecord, Outcome, Provenance

EPISODES = 3

EXACT = ("outcome", "commands", "progress", "max_progress", "out_of_bounds", "plan_failures")
"""These fields of a record must be the very same."""

TOLERANCE = 1e-5
"""Actions may differ by this much (absolute): rounding in float32 does that to commands of about one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=content)
    parser.add_argument("overrides", nargs="*", metavar="group.key=value", help="where things lie here: env.assets=DIR")
    parser.add_argument("--episodes", type=int, default=EPISODES, metavar="N", help="default: %(default)s")
    parser.add_argument("--anyway", action="store_true", help="also where this machine or the agent cannot be the same")


def verify(given: argparse.Namespace) -> int:
    """Return 0 where every episode came out as recorded, 1 where one did not.

    Raises BadInput, CorruptRecords, NotReady, and RunMismatch where there is no hope that it would.
    """
    folder = RunDirectory(Path(given.run))
    if given.episodes < 1:
        raise BadInput(f"--episodes is 1 or more, got {given.episodes}")
    recorded = _recorded(folder, given.episodes)
    here = _evaluation(folder, given.overrides, given.anyway)
    with tempfile.TemporaryDirectory(prefix="lingbot_eval-verify-") as scratch:
        again = RunDirectory(Path(scratch))
        episodes = [record.episode for record in recorded]
        again.open(here.experiment, episodes)
        here.play(again, episodes, lambda event: None, "lingbot-eval verify")
        final = again.records().final()
        pairs = [(record, final[record.episode.id]) for record in recorded]
        verdicts = [_verdict(folder, then, again, now) for then, now in pairs]
    then, now = facts(folder.run().experiment, _who(recorded), []), facts(here.experiment, _who(final.values()), [])
    say = partial(screen().print, soft_wrap=True)
    for one in differences(then, now):
        if one.why:
            say(f"not the same here (B): {one}")
    for record, (same, words) in zip(recorded, verdicts, strict=True):
        say(f"{'same   ' if same else 'DIFFERS'} {record.episode.id}: {words}")
    good = sum(same for same, _ in verdicts)
    say(f"{good} of {len(verdicts)} episodes came out as recorded.")
    return 0 if good == len(verdicts) else 1


def _recorded(folder: RunDirectory, count: int) -> list[EpisodeRecord]:
    """Return ``count`` of the finished episodes that a simulator played, spread evenly over the plan."""
    said = contents.read(folder)
    warn(said)
    played = [record for record in said.final.values() if record.outcome is not Outcome.ERROR and not record.trial]
    if not played:
        raise BadInput(f"{folder.path} has no finished episode that a simulator played: nothing to play again")
    count = min(count, len(played))
    return [played[place * len(played) // count] for place in range(count)]


def _evaluation(folder: RunDirectory, overrides: Sequence[str], anyway: bool) -> Evaluation:
    """Return what is played here: the settings that the run was last played with, with every choice made on this
    machine.

    Raises BadInput, NotReady, and RunMismatch where it cannot come out the same, unless ``anyway``.
    """
    run = folder.run()
    if not anyway:
        _require_deterministic(folder, run.coordinators)
    here = prepare(_settings(folder, overrides))
    parted = differences(facts(run.experiment, [], []), facts(here.experiment, [], []))
    if parted and not anyway:
        words = "; ".join(map(str, parted))
        raise RunMismatch(
            f"{folder.path} (A) is another experiment than this one (B): {words}. Add --anyway to play it all the same"
        )
    return here


def _who(records: Iterable[EpisodeRecord]) -> list[Provenance]:
    return [record.provenance for record in records if record.provenance]


class _Forwards(msgspec.Struct):
    exact: bool | None = None


class _Agent(msgspec.Struct):
    """This much is read of an agent's settings; older versions had neither."""

    lingbot: _Forwards | None = None
    sessions: int = 1


class _Settings(msgspec.Struct):
    """This much is read of the settings of a coordinator, of whatever version."""

    agent: _Agent


def _require_deterministic(folder: RunDirectory, played: Sequence[CoordinatorFile]) -> None:
    """Require that the run's agent plays an episode again in the same way. Every agent of ours does, one episode at a
    time; LingBot-VA's forwards of several episodes are run together as they happen to meet, unless ``exact``.

    Raises RunMismatch, and BadInput where a coordinator's file does not say who played.
    """
    for settings in (file.settings for file in played if file.settings is not None):
        try:
            agent = as_struct(settings, _Settings).agent
        except BadInput as error:
            raise BadInput(f"{folder.path}: a file in its sessions/ is not what this package writes: {error}") from None
        if agent.lingbot and agent.sessions > 1 and not agent.lingbot.exact:
            raise RunMismatch(
                f"{folder.path} was played with agent.sessions={agent.sessions}: which forwards ran together, and "
                "so their last bits, was chance. Add --anyway to play the episodes again one by one"
            )


def _settings(folder: RunDirectory, overrides: Sequence[str]) -> RunSettings:
    """Return the settings that the run was last played with, but for one episode at a time on this machine, with
    commands kept and no video.

    Raises BadInput.
    """
    data = to_dict(settings_of(folder))
    for override in overrides:
        _override(data, override)
    settings = run_settings(data)
    agent = msgspec.structs.replace(settings.agent, sessions=1)
    here = LocalSettings(gpus=None)
    return msgspec.structs.replace(
        settings, agent=agent, cluster=here, workers=1, actions=True, video="off", tracker="none"
    )


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    *groups, name = key.split(".")
    group: Any = data
    for step in groups:
        group = group.get(step) if isinstance(group, dict) else None
    if not equals or not isinstance(group, dict) or name not in group:
        raise BadInput(f"{override!r} is no setting of this run; settings look like env.assets=DIR")
    try:
        group[name] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise BadInput(f"{key}: {value!r} is no value; quote it as YAML does") from None


def _verdict(folder: RunDirectory, then: EpisodeRecord, again: RunDirectory, now: EpisodeRecord) -> tuple[bool, str]:
    """Return whether an episode came out the same, and what to say of it."""
    if now.outcome is Outcome.ERROR:
        return False, f"{_ending(then)}, now an ERROR: {reason(now)}"
    was, became = to_dict(then), to_dict(now)
    parted = [f"{name} {was[name]}, now {became[name]}" for name in EXACT if was[name] != became[name]]
    words = "; ".join([_ending(then), *parted])
    if not (folder.path / "actions" / actions_name(then.episode)).is_file():
        return not parted, f"{words}; its commands were not kept (actions=false)"
    same, actions = _compared(actions_of(folder, then), actions_of(again, now))
    return not parted and same, f"{words}; {actions}"


def _ending(record: EpisodeRecord) -> str:
    return f"{record.outcome.value} after {record.commands} commands"


def _compared(then: Actions, now: Actions) -> tuple[bool, str]:
    """Return whether two episodes' actions (actions, K, D) are the same within :data:`TOLERANCE`, and say how in
    words."""
    if np.array_equal(then, now):
        return True, f"{len(then)} actions equal bit for bit"
    if then.shape[1:] != now.shape[1:]:
        return False, f"an action was {then.shape[1:]}, now {now.shape[1:]}"
    length = min(len(then), len(now))
    apart = np.abs(then[:length].astype(float) - now[:length]).reshape(length, -1).max(axis=1)
    if len(then) == len(now) and apart.max() <= TOLERANCE:
        return True, f"{len(then)} actions equal within {apart.max():.1g}"
    first = int(np.argmax(apart > TOLERANCE)) if apart.max() > TOLERANCE else length
    size = f", by {apart[first]:.2g}" if first < length else ""
    return False, f"actions part at number {first + 1} of {len(then)}{size}"
