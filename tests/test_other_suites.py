"""Benchmarks of other distributions that say one thing and do another are refused, before anything is recorded."""

from __future__ import annotations

from tests.distributions import A_SUITE, PROTOCOLS, RUN_SUITE, distribution, python

SPEC = """
from dataclasses import replace
from lingbot_eval.envs.toy import spec as toy
from lingbot_eval.types import columns
def spec(settings):
    known = toy.env_spec(settings)
    return replace(known, columns=columns("pull", "m")) if settings.task == "other" else known
"""
TWO = A_SUITE.replace('("push",)', '("push", "other", "third")').replace("env_spec=env_spec", "env_spec=spec")
POLICY = """
import numpy as np
class Pusher:
    looks, columns = False, ("push",)
    def __init__(self, spec): self.spec = spec
    def reset(self, instruction, *, seed): pass
    def act(self, frames): return np.zeros((1, self.spec.commands_per_action, 1), np.float32)
"""


def test_an_agent_must_speak_as_the_environments_of_all_tasks_do(tmp_path):
    distribution(tmp_path, "two", "two = two_module:SUITE", SPEC + TWO.format(name="two", more=PROTOCOLS))
    (tmp_path / "policy.py").write_text(POLICY.replace("push", toys_column()))
    run = (*RUN_SUITE, "two", "--agent", "policy.py:Pusher", "--dry-run")
    said = python(tmp_path, *run, code=2)
    assert "run-suite: two/other: " in said
    assert f"its command columns are ({toys_column()}), here (pull)" in said
    assert "protocol hash" in python(tmp_path, *run, "--tasks", "0,2")


def test_an_environment_must_speak_as_its_suite_says(tmp_path):
    code = TWO.format(name="two", more=PROTOCOLS)
    code = code.replace("make_env=ReachEnv", "make_env=Lies") + "\n"
    made = """
import gymnasium
from lingbot_eval.envs.adapted import Adapted
class Lies(Adapted):
    def __init__(self, settings):
        speaks = replace(spec(settings), columns=columns("percent", "%"), commands_per_second=99.0)
        super().__init__(gymnasium.make("MountainCarContinuous-v0").unwrapped, speaks, 5, "short")
"""
    distribution(tmp_path, "two", "two = two_module:SUITE", SPEC + made + code)
    ask = """
from lingbot_eval.envs.remote import RemoteEnv
from lingbot_eval.settings import EnvSettings, default_limits
from lingbot_eval.suites import suite_named
from lingbot_eval.errors import BadInput
two = suite_named("two")
settings = EnvSettings(two.simulator_settings({}), two.load_protocol("short"), "two", "push", 1, False, False)
try:
    RemoteEnv(settings, default_limits())
except BadInput as error:
    print(error)
"""
    said = python(tmp_path, "-c", ask)
    assert "Lies: env_spec is not the one that two says it is: columns" in said
    assert "commands_per_second 99.0, not" in said


def test_the_version_of_its_distribution_is_a_fact_of_a_suite_that_says_none(tmp_path):
    more = f"{PROTOCOLS}, look_around=needs_nothing"
    silent = "from lingbot_eval.suites.suite import needs_nothing\n" + A_SUITE.format(name="silent", more=more)
    distribution(tmp_path, "plain", "plain = plain_module:SUITE", A_SUITE.format(name="plain", more=PROTOCOLS))
    distribution(tmp_path, "silent", "silent = silent_module:SUITE", silent)
    ask = """
from lingbot_eval.suites import suite_named
from lingbot_eval.suites.machine import inspect
for name in ("plain", "silent", "toy"):
    suite = suite_named(name)
    print(name, inspect(suite, suite.simulator_settings({}), False).facts)
"""
    assert python(tmp_path, "-c", ask).splitlines()[:3] == ["plain {'plain': '1.0'}", "silent {}", "toy {}"]


def toys_column() -> str:
    from lingbot_eval.envs.toy.spec import env_spec
    from tests.conftest import toy

    return env_spec(toy()).columns[0].name
