"""How an expert follows a path that it knows beforehand."""

from __future__ import annotations

from typing import Annotated

import msgspec

from lingbot_eval.settings.structs import Count

Metres = Annotated[float, msgspec.Meta(ge=0, le=0.1)]


class Pace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """These are the settings of an expert that are about its path; each is there in ``ExpertSettings``."""

    waypoints_per_command: Count = 1
    beat: Count = 1
    stray: Metres = 0.0

    def __str__(self) -> str:
        """Write it as it is typed, as far as it is not usual."""
        said = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return " ".join(f"agent.{name}={value}" for name, value in said if value != getattr(AS_IT_IS, name))

    @property
    def usual(self) -> bool:
        """Return whether the path is left as it is."""
        return self == AS_IT_IS


AS_IT_IS = Pace()

NO_PATH = "'s expert decides at every command, so there is no path to thin; leave it as it is"
"""Said after a pace and a benchmark's name."""
