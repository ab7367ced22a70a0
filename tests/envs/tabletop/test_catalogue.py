from __future__ import annotations

import subprocess
import sys

import pytest

from lingbot_eval.envs.tabletop import TASKS, command_limit, sentences, task_class
from lingbot_eval.envs.tabletop.catalogue import catalogue
from lingbot_eval.errors import UnknownName


def test_every_task_has_a_limit_and_enough_words() -> None:
    assert len(TASKS) >= 8
    for name, entry in catalogue().items():
        seen, unseen = set(entry["seen"]), set(entry["unseen"])
        assert len(seen) >= 10
        assert len(unseen) >= 3
        assert not seen & unseen
        assert command_limit(name) > 0


def test_sentences_are_the_templates_filled_in_in_the_files_order() -> None:
    found = sentences("stack_two", {"{A}": "red block", "{B}": "blue block", "{a}": "left"})
    assert found["seen"][0] == "Stack the red block on the blue block."
    assert found["unseen"][-1] == "Pile the red block onto the blue block with your left hand."


def test_an_unknown_task_is_named_with_the_near_one() -> None:
    for ask in (command_limit, task_class, lambda name: sentences(name, {})):
        with pytest.raises(UnknownName, match="did you mean 'stack_two'"):
            ask("stack_to")


def test_none_of_it_needs_a_simulator() -> None:
    code = "import sys, lingbot_eval.envs.tabletop; print({'sapien', 'mplib'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
