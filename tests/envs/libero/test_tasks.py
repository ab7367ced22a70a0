from __future__ import annotations

import ast
import importlib.util

import pytest

from lingbot_eval.envs.libero.assets import libero_root
from lingbot_eval.envs.libero.tasks import SUITES, instruction
from lingbot_eval.errors import UnknownName
from lingbot_eval.suites import suite_named


def test_the_tasks_are_the_installed_benchmarks_in_its_order() -> None:
    pytest.importorskip("mujoco", reason="the libero extra is not installed")
    path = libero_root() / "benchmark" / "libero_suite_task_map.py"
    spec = importlib.util.spec_from_file_location("task_map", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for suite, tasks in SUITES.items():
        assert list(tasks) == module.libero_task_map[suite]


def test_the_sentences_are_the_installed_benchmarks() -> None:
    """Its function stands in a module that imports torch, so it is taken out of the source."""
    pytest.importorskip("mujoco", reason="the libero extra is not installed")
    source = (libero_root() / "benchmark" / "__init__.py").read_text()
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    (theirs,) = (node for node in functions if node.name == "grab_language_from_filename")
    names: dict[str, object] = {}
    exec(compile(ast.Module([theirs], []), "benchmark", "exec"), names)  # noqa: S102
    for tasks in SUITES.values():
        for task in tasks:
            assert instruction(task) == names["grab_language_from_filename"](f"{task}.bddl")  # type: ignore[operator]


def test_task_names_are_unique_over_all_suites() -> None:
    tasks = [task for tasks in SUITES.values() for task in tasks]
    assert len(set(tasks)) == 40


@pytest.mark.parametrize(
    ("given", "meant"), [("spatial", "libero_spatial"), ("long", "libero_10"), ("libero_goal", "libero_goal")]
)
def test_suites_have_short_names(given: str, meant: str) -> None:
    assert suite_named("libero").parts_of(given) == [meant]


def test_all_means_the_four_suites_and_a_wrong_name_lists_the_valid_ones() -> None:
    assert suite_named("libero").parts_of("all") == list(SUITES)
    with pytest.raises(UnknownName, match=r"did you mean 'spatial'.*libero_10"):
        suite_named("libero").parts_of("spacial")
