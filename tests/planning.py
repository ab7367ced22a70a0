"""Plans and settings as tests want them."""

from __future__ import annotations

from collections.abc import Sequence

from lingbot_eval.agents import kind_of
from lingbot_eval.runs import compose
from lingbot_eval.runs.evaluation import specs_of
from lingbot_eval.settings import AgentSettings, Protocol, RunSettings, SuiteSettings
from lingbot_eval.suites import scenes, suite_named
from lingbot_eval.suites.manifest import Wanted
from lingbot_eval.suites.suite import Asked
from lingbot_eval.types import Episode


def plan(suite: SuiteSettings, protocol: Protocol) -> list[Episode]:
    mine = suite_named(suite.name)
    return mine.plan(mine, Asked(suite, protocol))


def settings(groups: Sequence[str], overrides: Sequence[str]) -> RunSettings:
    """``groups``: ``suite=``, ``agent=`` and ``protocol=`` of ``conf/``."""
    chosen = dict(group.split("=") for group in groups)
    protocol = chosen["protocol"].partition("/")[2]
    return compose.settings(suite_named(chosen["suite"]), chosen["agent"], protocol, overrides)


def wanted_scenes(suite: SuiteSettings, protocol: Protocol) -> list[Wanted]:
    return scenes.wanted_scenes(suite_named(suite.name), Asked(suite, protocol))


def checked(chosen: RunSettings) -> tuple[AgentSettings, str]:
    """What a run's agent says to the environments that it would play in."""
    return kind_of(chosen.agent).check(chosen.agent, specs_of(chosen)[0][1])
