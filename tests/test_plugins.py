"""What other distributions name in the entry-point groups is theirs to break: the rest goes on."""

from __future__ import annotations

import pytest

from tests.distributions import A_SUITE, LINGBOT_EVAL, PROTOCOLS, RUN_SUITE, distribution, python

GIVEN = "from lingbot_eval.suites import suite_named; suite_named('{}')"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise RuntimeError('CUDA driver too old')", "RuntimeError: CUDA driver too old"),
        ("import sys; sys.exit('no licence')", "SystemExit: no licence"),
        ("SUITE = 1 / 0", "ZeroDivisionError"),
        ("this is no Python", "SyntaxError"),
    ],
)
def test_whatever_a_module_raises_is_said_when_it_is_asked_for(tmp_path, code, words):
    distribution(tmp_path, "broken", "broken = broken_module:SUITE", code)
    said = python(tmp_path, "-c", GIVEN.format("broken"), code=1)
    assert "lingbot_eval.errors.BadInput: benchmark broken (broken_module:SUITE) cannot be loaded: " + words in said
    said = python(tmp_path, "-c", "import gymnasium, lingbot_eval; gymnasium.spec('lingbot_eval/Toy-reach-v0')")
    assert said == ""


def test_a_name_of_ours_stays_ours(tmp_path):
    distribution(tmp_path, "usurper", "toy = usurper_module:SUITE", "SUITE = None")
    said = python(tmp_path, "-c", f"{GIVEN.format('toy')}; print(suite_named('toy').title)")
    assert "lingbot_eval.suites: toy is lingbot_eval's own; that of usurper (usurper_module:SUITE) is left out" in said
    assert said.startswith("Toy\n")


def test_a_name_of_two_others_is_refused_when_it_is_asked_for(tmp_path):
    for name in ("one", "other"):
        distribution(tmp_path, name, f"car = {name}_module:SUITE", A_SUITE.format(name="car", more=PROTOCOLS))
    said = python(tmp_path, "-c", GIVEN.format("car"), code=1)
    for name in ("one", "other"):
        assert f"{name} ({name}_module:SUITE)" in said
    assert "benchmark car is brought by" in said
    assert python(tmp_path, "-c", GIVEN.format("toy")) == ""


def test_a_title_that_gymnasium_takes_for_no_name_costs_only_its_own_id(tmp_path):
    code = A_SUITE.format(name="mine", more=PROTOCOLS).replace('"Mine"', '"Mine, all mine"')
    distribution(tmp_path, "mine", "mine = mine_module:SUITE", code)
    words = "import gymnasium, lingbot_eval; print([name for name in gymnasium.registry if 'lingbot_eval/Toy' in name])"
    assert "lingbot_eval/Toy-reach-v0" in python(tmp_path, "-c", words)
    assert python(tmp_path, "-c", f"{GIVEN.format('mine')}; print(suite_named('mine').title)") == "Mine, all mine\n"


def test_commands_go_on_without_a_suite_that_cannot_be_loaded(tmp_path):
    distribution(tmp_path, "broken", "broken = broken_module:SUITE", "raise RuntimeError('50% sure')")
    why = "benchmark broken (broken_module:SUITE) cannot be loaded: RuntimeError: 50% sure"
    for what, theirs in (("suites", "toy      toy"), ("tasks", "toy  0  reach"), ("protocols", "toy      toy")):
        said = python(tmp_path, *LINGBOT_EVAL, "ls", what)
        assert theirs in said.splitlines()
        assert f"lingbot-eval: {why}" in said.splitlines()
    assert "--checkpoint DIR" in python(tmp_path, *LINGBOT_EVAL, "doctor", "--help")
    assert python(tmp_path, *LINGBOT_EVAL, "status", "nowhere", code=2).count("\n") == 1
    assert why in " ".join(python(tmp_path, *RUN_SUITE, "--help").split())
    assert "4 episodes of 2 tasks" in python(tmp_path, *RUN_SUITE, "toy", "--episodes", "2", "--dry-run")
    assert python(tmp_path, *RUN_SUITE, "broken", code=2).startswith(f"run-suite: {why}\n")


def test_a_flag_of_two_suites_sets_the_place_of_both(tmp_path):
    code = """
from lingbot_eval.settings import SimulatorSettings
from lingbot_eval.errors import NotReady
def look_around(simulator, draws, scenes):
    raise NotReady(f"found nothing in {simulator.folder}")
"""
    for name, number in (("one", 1), ("other", 2)):
        kind = f"class Simulator{number}(SimulatorSettings, frozen=True, tag={name!r}):\n    folder: str = 'nowhere'\n"
        more = (
            f"{PROTOCOLS}, simulator=Simulator{number}, here=Simulator{number}(python=None), look_around=look_around, "
            f"places={{'car-parts': ('folder', '100% of the parts of {name}')}}"
        )
        distribution(
            tmp_path, name, f"{name} = {name}_module:SUITE", code + kind + A_SUITE.format(name=name, more=more)
        )
    said = " ".join(python(tmp_path, *LINGBOT_EVAL, "doctor", "--help").split())
    assert "--car-parts DIR 100% of the parts of one; 100% of the parts of other" in said
    doctor = (
        "from lingbot_eval.cli.lingbot_eval import _parsed, places_of;"
        "print(places_of(_parsed(['doctor', '--car-parts', 'there'])))"
    )
    assert "'car-parts': 'there'" in python(tmp_path, "-c", doctor)
