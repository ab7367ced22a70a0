"""Who may import whom, and what importing the package costs."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lingbot_eval

ROOT = Path(lingbot_eval.__file__).parent

ONLY_IN = {
    "hydra": r"runs/compose",
    "omegaconf": r"runs/compose",
    "rich": r"cli/",
    "lingbot_eval.cli": r"cli/|__init__",
    "ray": r"runs/ray_workers",
    "torch": r"(models|agents)/lingbot_va|datasets|training",
    "diffusers": r"(models|agents)/lingbot_va",
    "transformers": r"(models|agents)/lingbot_va",
    "tokenizers": r"(models|agents)/lingbot_va",
    "safetensors": r"(models|agents)/lingbot_va|datasets|training",
    "ftfy": r"(models|agents)/lingbot_va",
    "mujoco": r"envs/libero",
    "robosuite": r"envs/libero",
    "libero": r"envs/libero",
    "bddl": r"envs/libero",
    "sapien": r"envs/(tabletop|robotwin)",
    "mplib": r"envs/robotwin/ik",
    "imageio": r"videos",
    "imageio_ffmpeg": r"videos",
    "PIL": r"videos|envs/libero",
    "peft": r"training/lora",
    "tensorboard": r"trackers/tensorboard",
    "wandb": r"trackers/wandb",
    "pandas": r"reports/(frames|plots)|exports/records",
    "scipy": r"reports/",
    "matplotlib": r"reports/",
    "pyarrow": r"exports/|datasets/",
}
"""By module: the files (regular expression over paths in the package) that may import it, at their top or lazily."""

NEVER = [
    ("types.py", "lingbot_eval"),
    ("errors.py", "lingbot_eval"),
    ("envs/", "lingbot_eval.agents"),
    ("envs/(?!host)", "lingbot_eval.suites"),
    ("suites/", "lingbot_eval.agents"),
    ("suites/", "lingbot_eval.runs"),
    ("models/", "lingbot_eval.agents"),
    ("models/", "lingbot_eval.runs"),
    ("envs/", "lingbot_eval.runs"),
    ("models/", "lingbot_eval.envs"),
    ("models/", "lingbot_eval.suites"),
    ("agents/", "lingbot_eval.suites"),
    ("agents/", "lingbot_eval.runs"),
    ("reports/", "lingbot_eval.envs"),
    ("reports/", "lingbot_eval.agents"),
]
"""(files, as a regular expression from the start; module they must not import)"""

CORE = {"numpy", "gymnasium", "msgspec", "yaml", "lingbot_eval"}


def imports(text: str, module: str) -> Iterator[str]:
    """Every module that ``text``, the source of ``module`` (dotted name), imports when it runs: at its top, in
    functions, by ``importlib.import_module("name")``; not under ``if TYPE_CHECKING``."""
    unread = [ast.parse(text)]
    while unread:
        node = unread.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            unread += node.orelse
            continue
        unread += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(module.split(".")[: -node.level]) if node.level else ""
            source = ".".join(part for part in (start, node.module) if part)
            yield from (f"{source}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (str(value.value) for value in node.args if isinstance(value, ast.Constant))


@functools.cache
def of_package() -> list[tuple[str, list[str]]]:
    """(path in the package, what it imports) of every file."""
    found = []
    for file in sorted(ROOT.rglob("*.py")):
        path = file.relative_to(ROOT).as_posix()
        module = ".".join(["lingbot_eval", *path.removesuffix(".py").split("/")])
        found.append((path, list(imports(file.read_text(), module))))
    return found


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def test_the_walk_sees_lazy_relative_and_dynamic_imports_but_no_types():
    text = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import unseen
else:
    import seen
def f():
    import lazy.thing as x
    class C:
        def g(self): from deep import name
    from . import beside
    from ..agents import scripted
    importlib.import_module("dynamic")
"""
    found = set(imports(text, "lingbot_eval.envs.host"))
    expected = {"typing.TYPE_CHECKING", "seen", "lazy.thing", "deep.name", "dynamic"}
    assert found == expected | {"lingbot_eval.envs.beside", "lingbot_eval.agents.scripted"}


def test_the_walk_sees_the_packages_own_lazy_import():
    assert "lingbot_eval.envs.libero.env.LiberoEnv" in dict(of_package())["suites/libero.py"]


@pytest.mark.parametrize("module", ONLY_IN)
def test_a_heavy_module_is_imported_in_its_own_place_alone(module):
    users = [path for path, names in of_package() if any(within(name, module) for name in names)]
    assert [path for path in users if not re.match(ONLY_IN[module], path)] == []


@pytest.mark.parametrize(("files", "module"), NEVER)
def test_dependencies_point_one_way(files, module):
    looked_at = [(path, names) for path, names in of_package() if re.match(files, path)]
    assert looked_at
    assert [path for path, names in looked_at if any(within(name, module) for name in names)] == []


def test_nothing_is_unpickled_from_a_file_a_pipe_or_a_socket():
    unpicklers = ("pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "numpy.load", "torch.load")
    assert [path for path, names in of_package() if any(within(name, it) for name in names for it in unpicklers)] == []
    calls = re.compile(r"torch\.load\(|allow_pickle=True|(?<![.\w])(eval|exec)\(")
    assert [file.name for file in ROOT.rglob("*.py") if calls.search(file.read_text())] == ["latent_files.py"]
    (load,) = calls.finditer(text := (ROOT / "datasets" / "latent_files.py").read_text())
    assert "weights_only=True" in text[load.start() :].partition("\n")[0]


def test_types_import_numpy_and_the_standard_library_only():
    names = {name.split(".")[0] for name in dict(of_package())["types.py"]}
    assert names - set(sys.stdlib_module_names) == {"numpy"}


def test_importing_the_package_stays_light():
    heavy = {*ONLY_IN, "torch", "mujoco", "hydra", "rich", "imageio", "ray", "pandas"}
    code = "import sys, lingbot_eval; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "gymnasium" in loaded
    assert sorted(heavy & set(loaded)) == []


def test_the_core_asks_for_nothing_else_than_its_few_dependencies():
    core = [
        "__init__.py",
        "types.py",
        "errors.py",
        "names.py",
        "plugins.py",
        "settings/__init__.py",
        "settings/lingbot_va.py",
        "episode.py",
        "processes.py",
    ]
    core += ["suites/__init__.py", "suites/gym.py", "suites/libero.py", "suites/robotwin.py", "agents/kind.py"]
    found = {name.split(".")[0] for path, names in of_package() if path in core for name in names}
    assert found - set(sys.stdlib_module_names) <= CORE
