"""Make a class of the user's own a kind of agent: ``--agent file.py:Class``, ``--agent package.module:Class``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lingbot_eval.agents import own, remote
from lingbot_eval.agents.kind import AgentFor, AgentKind
from lingbot_eval.agents.speaks import Speaks, require
from lingbot_eval.errors import BadInput
from lingbot_eval.plain import say
from lingbot_eval.settings import Limits, default_limits
from lingbot_eval.settings.own_agent import OwnAgentSettings
from lingbot_eval.types import EnvSpec


class OwnKind(AgentKind[OwnAgentSettings]):
    name = "own"
    settings = OwnAgentSettings

    def __init__(self) -> None:
        self._computes: tuple[OwnAgentSettings, dict[str, str]] | None = None
        """What was checked last, and what it computes with."""

    def preset(self, name: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the settings of the entry ``name``. What the class declares is the default, in the interpreter that
        will play it (``agent.python``)."""
        python = (given or {}).get("python")
        declared = remote.declared(name, None if python is None else str(python), default_limits())
        return {
            "name": self.name,
            "looks": declared.looks,
            "commands_per_action": declared.commands_per_action or 1,
            "sessions": 1,
            "entry": name,
            "options": {},
            "paths": [],
            "python": None,
        }

    def check(
        self, settings: OwnAgentSettings, spec: EnvSpec, fresh: bool = False, limits: Limits | None = None
    ) -> tuple[OwnAgentSettings, str]:
        found = remote.described(settings, limits or default_limits(), fresh)
        for remark in found.remarks:
            say(f"{settings.name}: {remark}", file=sys.stderr)
        declared = found.declared
        if not declared.looks and settings.looks:
            raise BadInput(f"{settings.name} looks at no pictures: agent.looks=false")
        speaks = Speaks(
            cameras=declared.cameras if settings.looks else (),
            picture_size=declared.picture_size,
            columns=declared.columns,
            commands_per_action=declared.commands_per_action,
        )
        require(speaks, spec, settings.name)
        chosen = msgspec.structs.replace(
            settings, entry=found.entry, options=found.options, paths=found.paths, content=found.content
        )
        self._computes = chosen, found.versions
        return chosen, found.content

    def versions(self, settings: OwnAgentSettings, limits: Limits | None = None) -> dict[str, str]:
        if self._computes and self._computes[0] == settings:
            return self._computes[1]
        return remote.described(settings, limits or default_limits()).versions

    def in_words(self, settings: OwnAgentSettings) -> str:
        return f"{settings.entry} by {settings.python or sys.executable}"

    def load(self, settings: OwnAgentSettings, limits: Limits, log: Path) -> AgentFor:
        """Return what makes an object of the class for each lane, at its first episode."""
        return remote.load(settings, limits, log) if settings.python else own.load(settings)
