"""These are the settings of an agent that is a class of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, ClassVar

from lingbot_eval.settings.agent import AgentSettings


class OwnAgentSettings(AgentSettings, frozen=True, forbid_unknown_fields=True, tag="own"):
    """They say which class it is, what it is made with, and which interpreter it runs in."""

    APART: ClassVar[frozenset[str]] = AgentSettings.APART | {"paths", "python", "content"}

    entry: str
    """``package.module:Class`` on the Python path, or ``path/to/file.py:Class``."""
    options: Mapping[str, Any]
    """Arguments that it is made with, by name."""
    paths: tuple[str, ...]
    """The options that are files or folders, whose content counts and not where they lie; a check fills them in."""
    python: str | None
    """The interpreter of the agent's process; None: the worker's own process."""
    content: str = ""
    """The hash of what it plays from (``own.content_hash``), which whoever plays it compares; a check fills it in, and
    what is empty is not compared. The experiment has it as its checkpoint."""

    @property
    def name(self) -> str:
        """Return the name of the class."""
        return self.entry.rpartition(":")[2]

    @property
    def loads_in_its_lane(self) -> bool:
        """Whether the agent is loaded at a lane's first episode: a class is made once per lane."""
        return True

    def identity(self) -> dict[str, Any]:
        """Return those settings that are part of the experiment, as the content of files is besides
        (``own.content_hash``). A class is the same one by its file and by its module."""
        place, _, name = self.entry.rpartition(":")
        module = PurePath(place).stem if place.endswith(".py") else place.rpartition(".")[2]
        return {
            **AgentSettings.identity(self),
            "entry": f"{module}:{name}",
            "options": {key: value for key, value in self.options.items() if key not in self.paths},
        }
