"""Outside a benchmark's own files its name appears nowhere: what others need to know of it, its ``Suite`` says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import pytest

import lingbot_eval

ROOT = Path(lingbot_eval.__file__).parent

OWN = {
    "libero": r"(envs|agents/experts)/libero/|(suites|settings)/libero\.py",
    # RoboTwin and tabletop speak one task contract: one environment plays both, and each names the other
    "robotwin": r"envs/(robotwin|tabletop)/|(suites|settings)/(robotwin|tabletop)\.py|agents/experts/rehearsed\.py",
    "tabletop": r"envs/(robotwin|tabletop)/|(suites|settings)/(robotwin|tabletop)\.py|agents/experts/rehearsed\.py",
    "toy": r"envs/toy/|(suites|settings)/toy\.py",
}
"""The files (regular expression over paths in the package) of each benchmark."""

EXCEPT = {
    ("__init__.py", "Evaluate video-action world models on LIBERO and RoboTwin 2.0"): "what the package is for",
    ("models/lingbot_va/checkpoint.py", '"robotwin_tshape": "tshape"'): "LeRobot's word for a layout, in its files",
    (
        "datasets/commands.py",
        "envs.robotwin.poses import product, unit",
    ): "quaternions as that benchmark's client has them",
    ("models/lingbot_va/lerobot_files.py", '"tshape": "robotwin_tshape"'): "LeRobot's word for a layout, in its files",
    ("models/lingbot_va/configuration.py", '"robotwin_tshape": "tshape"'): "upstream's word for it, in its files",
    ("suites/suite.py", "Read ``toy.py`` beside this file for the smallest one"): "a pointer for readers",
}
"""Why a line may name one all the same, by its file and some of its text."""

Sources = Mapping[str, str]
"""Text by path."""


def of_package() -> Sources:
    return {file.relative_to(ROOT).as_posix(): file.read_text() for file in sorted(ROOT.rglob("*.py"))}


def named(benchmark: str, sources: Sources) -> Iterator[str]:
    """``file:line: text`` of every line outside the benchmark's own files that has its name as a word."""
    word = re.compile(rf"(?<![a-z]){benchmark}(?![a-z])", re.IGNORECASE)
    for path, text in sources.items():
        if re.match(OWN[benchmark], path):
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if word.search(line) and not any(path == file and words in line for file, words in EXCEPT):
                yield f"{path}:{number}: {line.strip()}"


def ours() -> list[str]:
    points = metadata.entry_points(group="lingbot_eval.suites")
    return [point.name for point in points if point.value.partition(".")[0] == "lingbot_eval"]


def test_every_benchmark_of_this_package_is_looked_for():
    assert sorted(OWN) == sorted(ours())


@pytest.mark.parametrize("benchmark", OWN)
def test_a_benchmark_is_named_in_its_own_files_alone(benchmark):
    assert list(named(benchmark, of_package())) == []


@pytest.mark.parametrize("benchmark", OWN)
def test_its_own_files_are_there(benchmark):
    assert any(re.match(OWN[benchmark], path) for path in of_package())


def test_no_exception_outlives_its_line():
    sources = of_package()
    assert [key for key in EXCEPT if not any(key[1] in line for line in sources[key[0]].splitlines())] == []


def test_a_name_is_found_as_a_word_wherever_it_stands():
    text = (
        'if suite == "libero":\n    # LIBERO_ASSETS\n    deliberon = libero_goal\n    x = LiberoEnv  # another word\n'
    )
    assert [
        line.partition(" ")[0] for line in named("libero", {"cli/report.py": text, "envs/libero/env.py": text})
    ] == [
        "cli/report.py:1:",
        "cli/report.py:2:",
        "cli/report.py:3:",
    ]
