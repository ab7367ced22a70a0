"""Reads what a run kept of how it was played, for whoever plays its episodes again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lingbot_eval.agents import kind_named
from lingbot_eval.errors import BadInput, CorruptRecords
from lingbot_eval.names import actions_name
from lingbot_eval.recording import recording
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.settings import run_settings
from lingbot_eval.settings import RunSettings, to_dict
from lingbot_eval.settings.pace import AS_IT_IS
from lingbot_eval.suites import suite_named
from lingbot_eval.types import Actions, EpisodeRecord


def actions_of(folder: RunDirectory, record: EpisodeRecord) -> Actions:
    """Return an episode's actions (actions, K, D), the last one as it was sent, whether or not all of it was executed.

    Raises BadInput where none were kept, CorruptRecords where they are not this record's.
    """
    file = folder.path / "actions" / actions_name(record.episode)
    if not file.is_file():
        raise BadInput(f"{record.episode.id}: no {file}; a run keeps its commands unless actions=false")
    episode, actions = recording(file)
    sent = actions.shape[0] * actions.shape[1]
    if episode != record.episode.id or sent < record.commands:
        raise CorruptRecords(f"{file} holds {sent} commands of {episode}, not {record.commands} of {record.episode.id}")
    return actions


def _fetching(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Turn off an older version's ``env.download: true``, which named nothing to fetch: what it fetched is here, or
    not."""
    env = settings.get("env")
    if isinstance(env, Mapping) and env.get("download") is True:
        return {**settings, "env": {**env, "download": False}}
    return settings


def settings_of(folder: RunDirectory) -> RunSettings:
    """Return the settings of the run's last coordinator.

    Raises BadInput for a run that no simulator played, for one whose benchmark or agent is not installed here, and for
    one of another version of this package.
    """
    played = [(file.settings, file.versions) for file in folder.run().coordinators if file.settings is not None]
    if not played:
        raise BadInput(f"{folder.path} was played by no simulator: there is nothing to play again")
    kept, versions = played[-1]
    settings = _fetching(_today(kept))
    _check_installed(folder, settings)
    try:
        return run_settings(settings)
    except BadInput as error:
        git = versions.get("git") or "unknown"
        raise BadInput(f"{folder.path} was played with another version of lingbot_eval (git {git}): {error}") from None


def _check_installed(folder: RunDirectory, settings: Mapping[str, Any]) -> None:
    """Raise BadInput where the benchmark or the agent that ``settings`` name cannot be loaded here."""
    for what, group, named in (("benchmark", "suite", suite_named), ("agent", "agent", kind_named)):
        within = settings.get(group)
        name = within.get("name") if isinstance(within, Mapping) else None
        if isinstance(name, str):
            try:
                named(name)
            except BadInput as error:
                words = f"was played with the {what} {name}, which cannot be loaded here"
                raise BadInput(f"{folder.path} {words}: {error}") from None


def _today(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add what older versions had no setting for, as they did it; leave out what they had for every agent, and which
    said nothing where it was null."""
    limits = settings.get("limits")
    if isinstance(limits, dict):
        settings = {**settings, "limits": {"agent_seconds": 600.0, **limits}}
    agent = settings.get("agent")
    if not isinstance(agent, dict):
        return settings
    agent = {name: value for name, value in agent.items() if value is not None or name not in _OF_EVERY_AGENT}
    if agent.get("name") == "expert":
        agent = {**to_dict(AS_IT_IS), **agent}
    if isinstance(lingbot := agent.get("lingbot"), dict):
        agent["lingbot"] = {"parts": None, **lingbot}
    return {**settings, "agent": agent}


_OF_EVERY_AGENT = ("path", "checkpoint", "lingbot")
"""0.1.0's only struct of an agent's settings had these fields."""
