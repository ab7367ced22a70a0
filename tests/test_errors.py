"""What we raise on purpose, and that it helps."""

from __future__ import annotations

import inspect

import pytest

from lingbot_eval import errors
from lingbot_eval.errors import BadInput, LingbotEvalError, UnknownName


def drawn_tree() -> dict[str, str]:
    """By class in the docstring's tree: the class it hangs from."""
    parents, above = {}, {0: "Exception"}
    for line in (errors.__doc__ or "").splitlines()[2:]:
        name = line.lstrip("│├└─ ").split()[0]
        depth = (len(line) - len(line.lstrip("│├└─ "))) // 4
        parents[name] = above[depth]
        above[depth + 1] = name
    return parents


def test_the_docstring_draws_the_tree_that_the_classes_form():
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
    assert drawn_tree() == {kind.__name__: kind.__base__.__name__ for kind in classes}


def test_an_unknown_name_brings_the_nearest_and_all_valid_ones():
    error = UnknownName("agent", "randon", ["idle", "random"])
    assert str(error) == "unknown agent 'randon'; did you mean 'random'? (valid: idle, random)"


def test_a_name_like_no_other_brings_the_valid_ones_alone():
    assert str(UnknownName("agent", 7, ("idle", "random"))) == "unknown agent 7 (valid: idle, random)"


@pytest.mark.parametrize("name", sorted(drawn_tree()))
def test_every_error_can_be_made_again_from_its_message(name):
    """The simulator's process sends kind and message; the parent raises that kind."""
    kind = getattr(errors, name)
    if kind is UnknownName:
        assert issubclass(UnknownName, BadInput)
        return
    assert str(kind("why")) == "why"
    assert issubclass(kind, LingbotEvalError)
