"""What a benchmark that says little is taken to be, and what it may not say."""

from __future__ import annotations

import pytest

from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.envs.toy.spec import env_spec
from lingbot_eval.errors import BadInput, NotReady, UnknownName
from lingbot_eval.settings import Protocol, SuiteSettings, to_dict
from lingbot_eval.settings.toy import ToyProtocol
from lingbot_eval.suites.paper import Paper
from lingbot_eval.suites.suite import Asked, Suite, needs, needs_nothing


class Endless(Protocol, frozen=True, forbid_unknown_fields=True, tag="mine"):
    """A protocol that says nothing of an episode's length."""


def suite(**changes) -> Suite:
    least = {
        "name": "mine",
        "title": "Mine",
        "tasks": {"mine": ("push_it", "pull")},
        "protocols": {"short": {"command_limit": 5}, "long": {"command_limit": 50, "episodes_per_task": 3}},
        "make_env": ReachEnv,
        "env_spec": env_spec,
    }
    return Suite(**least | changes)


def test_a_preset_has_what_it_does_not_say():
    mine = suite()
    assert to_dict(mine.load_protocol("long")) == {
        "benchmark": "mine",
        "name": "long",
        "seed": 0,
        "seed_block": 10000,
        "episodes_per_task": 3,
        "command_limit": 50,
    }
    assert mine.default_protocol == "short"
    assert mine.command_limit(mine.load_protocol("long"), ("mine", "pull", "")) == 50
    assert to_dict(mine.simulator_settings({})) == {"simulator": "mine", "python": None}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"protocols": {"short": {}}}, "command_limit"),
        ({"protocols": None}, "protocols: a benchmark has at least one, and conf/protocol/mine has none"),
        ({"protocols": {}}, "protocols: a benchmark has at least one"),
        ({"places": {"python": ("python", "where")}}, "places: --python is a flag of doctor's own"),
        ({"places": {"a b": ("python", "where")}}, "places: 'a b' is no flag"),
        ({"protocols": {"short": {"command_limit": 0}}}, "command_limit"),
        ({"protocols": {"short": {"command_limit": 5, "speed": 1}}}, "speed"),
        ({"protocol": ToyProtocol}, "ToyProtocol has tag='toy'; it must be the suite's name"),
        ({"protocol": Endless}, "Endless has no command_limit; say Suite.command_limit"),
        ({"paper": Paper("Mine", {"yours": "Yours"})}, "part of the paper's table 'yours'"),
        ({"settings": ("easy",), "paper": Paper("Mine", {"mine": "Mine"})}, "part of the paper's table 'mine'"),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_made(changes, words):
    with pytest.raises(BadInput, match=words):
        suite(**changes)


def test_a_task_is_told_by_its_sentence_or_by_its_name():
    mine = suite(instructions={"pull": "pull the lever"})
    assert [mine.instruction("mine", task) for task in mine.tasks["mine"]] == ["push it", "pull the lever"]


def test_columns_are_about_all_tasks_of_a_setting_or_those_of_a_part():
    parts = {"near": ("a", "b"), "far": ("c",)}
    assert suite(tasks=parts).tasks_in == {"near": 2, "far": 1}
    assert suite(tasks=parts, settings=("easy", "hard")).tasks_in == {"easy": 3, "hard": 3}


def test_what_must_be_installed_is_named_and_its_version_is_a_fact():
    here = suite().simulator_settings({})
    assert needs_nothing(here, False, ()).facts == {}
    assert needs("gymnasium")(here, False, ()).facts.keys() == {"gymnasium"}
    with pytest.raises(NotReady, match="no-such-thing: not installed"):
        needs("gymnasium", "no-such-thing")(here, False, ())


def test_an_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(UnknownName, match="long, short"):
        suite().load_protocol("shrot")


def asked(mine: Suite, settings: tuple[str, ...]) -> Asked:
    chosen = SuiteSettings("mine", tuple(mine.tasks), (), settings, episodes=2, seed=1, manifest=None)
    return Asked(chosen, mine.load_protocol("short"))


def test_every_task_is_played_in_every_setting_that_is_asked_for():
    mine = suite(settings=("easy", "hard"))
    episodes = mine.plan(mine, asked(mine, ("easy", "hard")))
    assert [(e.setting, e.task, e.seed, e.index) for e in episodes] == [
        (setting, task, 10000 + k, k) for setting in ("easy", "hard") for task in ("push_it", "pull") for k in range(2)
    ]
    assert {e.setting for e in mine.plan(mine, asked(mine, ("hard",)))} == {"hard"}
    assert {e.setting for e in suite().plan(suite(), asked(suite(), ()))} == {""}


def test_settings_that_a_benchmark_has_not_are_refused():
    with pytest.raises(BadInput, match=r"suite\.settings is empty"):
        suite(settings=("easy", "hard")).plan(mine := suite(settings=("easy", "hard")), asked(mine, ()))
    with pytest.raises(UnknownName, match="'hard'"):
        suite().plan(suite(settings=("easy",)), asked(suite(), ("hard",)))
    with pytest.raises(BadInput, match=r"mine is played in no settings, and suite\.settings is easy"):
        suite().plan(suite(), asked(suite(), ("easy",)))


def test_a_suite_may_count_commands_in_its_own_way():
    mine = suite(protocol=Endless, protocols={"short": {}}, command_limit=lambda protocol, task: 7)
    assert mine.command_limit(mine.load_protocol("short"), ("mine", "pull", "")) == 7
