"""The settings of a run are made from plain data: its benchmark and its agent say which types they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lingbot_eval.agents import kind_named
from lingbot_eval.errors import BadInput
from lingbot_eval.settings import RunSettings, as_struct
from lingbot_eval.suites import suite_named


def run_settings(data: Mapping[str, Any]) -> RunSettings:
    """Make the settings of ``data``.

    Raises BadInput with the path of a value that does not fit; UnknownName for a benchmark or an agent that is not
    installed.
    """
    suite, kind = suite_named(_name(data, "suite")), kind_named(_name(data, "agent"))
    chosen: RunSettings = as_struct(data, suite.run_settings(kind.settings))
    return chosen


def _name(data: Mapping[str, Any], group: str) -> str:
    within = data.get(group)
    if not isinstance(within, Mapping) or not isinstance(name := within.get("name"), str):
        raise BadInput(f"the setting {group}.name is missing: it says which {group} is meant")
    return name
