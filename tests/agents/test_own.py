"""A class of the user's own: found, looked at and made, and whatever is wrong with it said in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lingbot_eval.agents.located import Located, located
from lingbot_eval.agents.own import PerLane, checked, described, load
from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.episode import run_episode
from lingbot_eval.errors import AgentError, BadAction, BadInput, NotReady, UnknownName
from lingbot_eval.settings.own_agent import OwnAgentSettings
from lingbot_eval.types import Outcome
from tests.conftest import toy
from tests.test_episode import EPISODE

POLICY = """
from pathlib import Path
from typing import Literal, Optional
import numpy as np
{imports}

class Drift:
    {declares}
    def __init__(self, {takes}):
        self.given = {{name: value for name, value in locals().items() if name != "self"}}
        self.episodes = 0

    def reset(self, instruction, *, seed):
        self.instruction, self.seed, self.episodes = instruction, seed, self.episodes + 1

    def act(self, frames):
        return {acts}
"""

FORWARD = "np.full((1, 1, 1), 0.05, np.float32)"


def policy(
    folder: Path,
    takes: str = "*, speed=0.05",
    acts: str = FORWARD,
    declares: str = "",
    imports: str = "",
    name: str = "policy",
) -> str:
    """The entry of a class in a file."""
    file = folder / f"{name}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(POLICY.format(takes=takes, acts=acts, declares=declares, imports=imports))
    return f"{file}:Drift"


def settings(entry: str, **options: object) -> OwnAgentSettings:
    return OwnAgentSettings(True, 1, 1, entry, options, (), None)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working folder, whose modules are forgotten in the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


# Found.


def test_a_class_in_a_file_plays_an_episode(here):
    env = ReachEnv(toy())
    agent = load(settings(policy(here)))(env.env_spec)
    assert run_episode(env, agent, EPISODE).outcome is Outcome.SUCCESS


def test_a_class_on_the_python_path_is_found_from_the_working_folder(here):
    policy(here / "mine" / "deep")
    (here / "mine" / "__init__.py").touch()
    assert located("mine.deep.policy:Drift").kind.__module__ == "mine.deep.policy"


def test_a_file_imports_what_lies_beside_it(here):
    (here / "elsewhere").mkdir()
    (here / "elsewhere" / "speeds_of_mine.py").write_text("FAST = 0.1\n")
    entry = policy(here / "elsewhere", imports="from speeds_of_mine import FAST", takes="*, speed=FAST")
    load(settings(entry))


def test_a_file_that_was_changed_is_imported_anew(here):
    assert described(policy(here), {}).declared.looks
    assert not described(policy(here, declares="looks = False"), {}).declared.looks


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("policy", "'policy' names no agent's class: write package.module:Class, or path/to/file.py:Class"),
        ("policy.py:", "names no agent's class"),
        ("policy.py:Drift()", "names no agent's class"),
        ("nothing.py:Drift", r"agent nothing\.py: there is no such file \(looked in .*\)"),
        ("./folder.py:Drift", "folder.py: it is a folder"),
        ("./policy.txt:Drift", "a class comes from a .py file"),
        ("nowhere.policy:Drift", "agent nowhere.policy: No module named 'nowhere'"),
        ("json.nowhere:Drift", "No module named 'json.nowhere'"),
        ("bad name:Drift", "'bad name' is no module's name"),
        ("policy.py:Drfit", r"unknown class in policy\.py: 'Drfit'; did you mean 'Drift'\? \(valid: Drift\)"),
        ("policy.py:Path", "Path in policy.py has no method reset"),
        ("policy.py:np", "np in policy.py is a module, not a class"),
        ("empty.py:Drift", "empty.py has no class Drift, nor any other with reset and act"),
        ("sys:Drift", "sys has no Python source file"),
        (
            "broken.py:Drift",
            r"broken\.py cannot be imported: ZeroDivisionError: division by zero \(.*broken\.py, line 2",
        ),
        (
            "needs.py:Drift",
            r"needs\.py cannot be imported: ModuleNotFoundError: No module named 'torch2' \(.*, line 1\)",
        ),
        ("needs:Drift", r"agent needs cannot be imported: ModuleNotFoundError: No module named 'torch2'"),
        ("wrong.py:Drift", r"wrong\.py cannot be imported: SyntaxError: .* \(.*wrong\.py, line 1\)"),
        ("leaves.py:Drift", r"leaves\.py cannot be imported: SystemExit: 3"),
        ("unlike.py:A", r"A in unlike\.py has no act that can be called so \(.*\): an agent has reset\(self, instr"),
        ("unlike.py:B", "B in unlike.py has no reset that can be called so .*seed"),
    ],
)
def test_what_names_no_agent_is_said_in_one_line(here, entry, words):
    policy(here)
    (here / "folder.py").mkdir()
    for name, text in {
        "policy.txt": "",
        "empty.py": "class Other: pass\n",
        "broken.py": "\n1 / 0\n",
        "needs.py": "import torch2\n",
        "wrong.py": "def (\n",
        "leaves.py": "import sys; sys.exit(3)\n",
        "unlike.py": "class A:\n    def reset(self, instruction, *, seed): ...\n    def act(self): ...\n"
        "class B:\n    def reset(self, instruction): ...\n    def act(self, frames): ...\n",
    }.items():
        (here / name).write_text(text)
    with pytest.raises(BadInput, match=words) as raised:
        located(entry)
    assert "\n" not in str(raised.value)


# Its options.


@pytest.mark.parametrize(
    ("takes", "options", "words"),
    [
        ("speed=1.0", {"sped": 1}, r"unknown option of Drift 'sped'; did you mean 'speed'\? \(valid: speed\)"),
        ("", {"speed": 1}, "Drift takes no options, and was given agent.options.speed"),
        ("speed, mark", {}, r"Drift needs agent\.options\.speed=\.\.\., agent\.options\.mark=\.\.\."),
        ("speed: float", {"speed": "fast"}, r"agent\.options\.speed='fast': Expected float, got str"),
        ("speed: 'int'", {"speed": 1.5}, r"agent\.options\.speed=1\.5: Expected int, got float"),
        ("on: bool", {"on": 1}, "Expected bool, got int"),
        ("name: Optional[str]", {"name": 3}, r"Expected str \| null, got int"),
        ("names: list[str]", {"names": ["a", 3]}, r"Expected str, got int - at \$\[1\]"),
        ("mode: Literal['slow', 'fast']", {"mode": "fats"}, r"mode: 'fats'; did you mean 'fast'\? \(valid: slow, fast"),
        ("weights: Path", {"weights": "no.pt"}, r"weights='no\.pt': there is no such file or folder \(looked in "),
        ("weights: Path | None = None", {"weights": 3}, "Expected str | null, got int"),
        ("spec", {"spec": 3}, "takes no options, and was given agent.options.spec"),
    ],
)
def test_an_option_that_does_not_fit_is_refused_with_what_would(here, takes, options, words):
    with pytest.raises(BadInput, match=words):
        described(policy(here, takes=takes), options)


@pytest.mark.parametrize(
    ("takes", "options", "given"),
    [
        ("speed: float", {"speed": 1}, {"speed": 1.0}),
        ("speed: 'float | None' = None", {"speed": None}, {"speed": None}),
        ("what: 'NoSuchType'", {"what": [1, {"a": 2}]}, {"what": [1, {"a": 2}]}),
        ("what: np.ndarray", {"what": [1]}, {"what": [1]}),
        ("what", {"what": "anything"}, {"what": "anything"}),
        ("sizes: tuple[int, ...]", {"sizes": [1, 2]}, {"sizes": (1, 2)}),
        ("mode: Literal['slow', 'fast']", {"mode": "slow"}, {"mode": "slow"}),
        ("weights: str | Path", {"weights": "owner/name"}, {"weights": "owner/name"}),
        ("**others", {"any": 1}, {"others": {"any": 1}}),
    ],
)
def test_an_option_arrives_as_its_annotation_says(here, takes, options, given):
    agent = load(settings(policy(here, takes=takes), **options))(ReachEnv(toy()).env_spec)
    assert agent._object.given == given


def test_a_path_arrives_as_one_and_a_parameter_named_spec_is_what_the_environment_speaks(here):
    (here / "weights.bin").write_bytes(b"1")
    entry = policy(here, takes="spec, weights: Path")
    spec = ReachEnv(toy()).env_spec
    agent = load(settings(entry, weights="weights.bin"))(spec)
    assert agent._object.given == {"spec": spec, "weights": here / "weights.bin"}


# Its hash.


def content(entry: str, **options: object) -> str:
    hash = described(entry, options).content
    assert len(hash) == 12
    return hash


def test_the_hash_is_of_the_source_and_of_what_it_imports_from_beside_it_wherever_all_that_lies(here):
    folders = [here / "one", here / "two"]
    for folder in folders:
        policy(folder, imports="from aside import speed\nimport parts.inner")
        (folder / "aside.py").write_text("def speed():\n    import later\n")
        (folder / "later.py").write_text("x = 1\n")
        (folder / "unused.py").write_text(f"x = {str(folder)!r}\n")
        (folder / "parts").mkdir()
        (folder / "parts" / "__init__.py").touch()
        (folder / "parts" / "inner.py").write_text("from . import deep\n")
        (folder / "parts" / "deep.py").touch()
    one, two = (f"{folder}/policy.py:Drift" for folder in folders)
    sources = set(located(one).sources())
    assert sources == {"policy.py", "aside.py", "later.py", "parts/__init__.py", "parts/inner.py", "parts/deep.py"}
    before = subprocess.check_output([sys.executable, "-c", HASH, one], text=True)
    assert subprocess.check_output([sys.executable, "-c", HASH, two], text=True) == before
    for name in ("later.py", "parts/deep.py", "parts/__init__.py", "policy.py"):
        with (folders[1] / name).open("a") as file:
            file.write("\n# changed\n")
        after = subprocess.check_output([sys.executable, "-c", HASH, two], text=True)
        assert after != before
        before = after


HASH = "import sys; from lingbot_eval.agents.own import described; print(described(sys.argv[1], {}).content)"


def test_the_hash_has_what_is_imported_from_the_python_path_unless_it_is_installed(here, monkeypatch):
    policy(here / "mine", imports="from .helpers import *\nimport neighbour\nfrom mine import later\nimport far.away")
    for name in ("mine/__init__.py", "mine/helpers.py", "mine/later.py", "neighbour.py", "else/far/away.py"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("import vendored, json, numpy\n")
    (here / "lib" / "vendored-1.0.dist-info").mkdir(parents=True)
    (here / "lib" / "vendored.py").touch()
    monkeypatch.syspath_prepend(here / "else")
    monkeypatch.syspath_prepend(here / "lib")
    sources = {"mine/__init__.py", "mine/policy.py", "mine/helpers.py", "mine/later.py", "neighbour.py", "far/away.py"}
    assert set(located("mine.policy:Drift").sources()) == sources
    policy(here / "mine", imports="import mine.helpers", name="script")
    found = located(f"{here}/mine/script.py:Drift").sources()
    assert set(found) == {"script.py", "mine/__init__.py", "mine/helpers.py"}


def test_a_module_that_is_a_link_counts_by_its_content(here):
    (here / "shared").mkdir()
    (here / "shared" / "h.py").write_text("x = 1\n")
    entry = policy(here / "own", imports="import linked")
    (here / "own" / "linked.py").symlink_to(here / "shared" / "h.py")
    before = content(entry)
    (here / "shared" / "h.py").write_text("x = 2\n")
    assert content(entry) != before


def test_of_an_installed_module_the_hash_has_its_own_file_alone():
    import pytest_timeout

    file = Path(pytest_timeout.__file__)  # it imports pytest, which lies beside it
    assert Located("pytest_timeout:None", object, file, "pytest_timeout").sources() == {"pytest_timeout.py": file}


def test_the_hash_has_the_content_of_files_and_folders_among_the_options(here):
    entry = policy(here, takes="weights: Path, speed=1")
    for folder in ("a", "b"):
        (here / folder / "deep").mkdir(parents=True)
        (here / folder / "deep" / "x.bin").write_bytes(b"x")
        (here / folder / "y.bin").write_bytes(b"y")
    (here / "link").symlink_to(here / "a")
    os.symlink(here / "a", here / "b" / "__pycache__")
    before = content(entry, weights="a")
    assert content(entry, weights="b") == content(entry, weights="link") == content(entry, weights="a", speed=2)
    assert content(entry, weights="a/y.bin") != before
    (here / "a" / "y.bin").unlink()
    (here / "a" / "y.bin").symlink_to(here / "b" / "y.bin")
    (here / "a" / "deep" / "back").symlink_to(here / "a")
    assert content(entry, weights="a") == before
    (here / "b" / "deep" / "x.bin").rename(here / "b" / "x.bin")
    assert content(entry, weights="b") != before
    (here / "a" / "gone").symlink_to(here / "nowhere")
    with pytest.raises(BadInput, match="gone is a link to nothing, or no regular file"):
        content(entry, weights="a")


@pytest.mark.parametrize(
    ("takes", "options"),
    [
        ("weights: Path = Path('w.bin')", {}),
        ("weights=Path('w.bin')", {}),
        ("weights: Path = 'w.bin'", {}),
        ("weights: list[Path]", {"weights": ["w.bin"]}),
        ("weights: 'tuple[str | Path, ...] | None'", {"weights": ["owner/name", "w.bin"]}),
        ("weights: dict[str, list[Path]]", {"weights": {"a": ["w.bin"]}}),
    ],
)
def test_paths_in_defaults_and_in_containers_count_by_content(here, takes, options):
    entry = policy(here, takes=takes)
    (here / "w.bin").write_bytes(b"1")
    found = described(entry, options)
    (here / "w.bin").write_bytes(b"2")
    assert content(entry, **options) != found.content
    assert found.paths == ("weights",)
    os.chdir("/")  # as they are told, they are found from anywhere
    again = described(found.entry, found.options)
    assert (again.options, again.paths) == (found.options, found.paths)
    assert str(here / "w.bin") in str(found.options)
    given = str(load(settings(found.entry, **found.options))(ReachEnv(toy()).env_spec)._object.given)
    assert f"PosixPath('{here}/w.bin')" in given
    if "owner" in str(options):
        assert content(entry, weights=["owner/other", str(here / "w.bin")]) != again.content


def test_a_default_that_is_not_there_is_left_to_the_class(here):
    entry = policy(here, takes="weights: Path = Path('w.bin')")
    assert (described(entry, {}).options, described(entry, {}).paths) == ({}, ())


def test_a_file_whose_parameter_has_an_annotation_that_is_none_is_refused(here):
    imports = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from os import PathLike as Weights"
    entry = policy(here, imports=imports, takes="weights: 'Weights', speed: 'Weights' = 1")
    assert described(entry, {"weights": "no.bin"}).options == {"weights": "no.bin"}
    (here / "w.bin").touch()
    words = r"agent\.options\.weights='w\.bin' names a file, and its annotation 'Weights' cannot be resolved"
    with pytest.raises(BadInput, match=words):
        described(entry, {"weights": "w.bin"})


def test_a_file_that_does_not_count_is_remarked(here):
    entry = policy(here, takes="weights: str, other='o.bin', more: Path = Path('w.bin')")
    (here / "w.bin").touch()
    (remark,) = described(entry, {"weights": "w.bin"}).remarks
    assert remark.startswith("agent.options.weights='w.bin' names a file whose content does not count: annotate")
    assert described(entry, {"weights": "w" * 9000}).remarks == ()


def test_where_a_file_lies_is_no_part_of_the_experiment_and_what_an_option_says_is(here):
    (here / "weights").write_bytes(b"1")
    entry = policy(here / "some" / "where", takes="weights: Path, speed=1")
    found = described(entry, {"weights": "weights", "speed": 2})
    assert found.entry == f"{here}/some/where/policy.py:Drift"
    assert found.options == {"weights": str(here / "weights"), "speed": 2}
    chosen = OwnAgentSettings(True, 4, 3, found.entry, found.options, found.paths, "/usr/bin/python3")
    assert chosen.name == "Drift"
    assert chosen.identity() == {
        "name": "own",
        "looks": True,
        "commands_per_action": 4,
        "entry": "policy:Drift",
        "options": {"speed": 2},
    }


def test_what_was_changed_since_it_was_checked_is_not_played(here):
    entry = policy(here)
    checked_settings = msgspec.structs.replace(settings(entry), content=content(entry))
    load(checked_settings)
    policy(here, acts="1 / 0")
    words = r"Drift is not what was checked before the run \(\w{12}\): its source or its files say \w{12} now"
    with pytest.raises(NotReady, match=words):
        load(checked_settings)


# What it declares.


def test_what_a_class_declares_is_read(here):
    declares = "cameras = ('head',); picture_size = (64, 64); columns = ['x']; commands_per_action = 4; looks = False"
    declared = described(policy(here, declares=declares), {}).declared
    assert msgspec.to_builtins(declared) == {
        "cameras": ("head",),
        "picture_size": (64, 64),
        "columns": ("x",),
        "commands_per_action": 4,
        "looks": False,
    }


@pytest.mark.parametrize(
    ("declares", "words"),
    [
        ("cameras = 'head'", "Drift.cameras: Expected array"),
        ("picture_size = 64", "Drift.picture_size: Expected array"),
        ("commands_per_action = 0", "Drift.commands_per_action: Expected int >= 1"),
        ("looks = 1", "Drift.looks: Expected bool"),
    ],
)
def test_what_cannot_be_declared_is_refused(here, declares, words):
    with pytest.raises(BadInput, match=words):
        described(policy(here, declares=declares), {})


# Played.


@pytest.mark.parametrize(
    ("acts", "words"),
    [
        ("[[[0.05]]]", r"Drift\.act returned a list; commands here are .* float32 \(N, 1, 1\).*Return np\.asarray\(it"),
        ("np.zeros((1, 1, 1))", r"float64 \(1, 1, 1\);.*Return it\.astype\(np\.float32\)"),
        ("np.zeros((1, 1), np.float32)", r"Return it\.reshape\(1, 1, 1\), which is one action"),
        ("np.zeros(1, np.float32)", r"Return it\.reshape\(1, 1, 1\), which is one action"),
        ("np.zeros((5, 1), np.float32)", r"Return it\.reshape\(-1, 1, 1\), if that is what its rows are"),
        ("np.zeros((1, 1, 7), np.float32)", r"returned float32 \(1, 1, 7\); .*columns$"),
        ("np.zeros((0, 1, 1), np.float32)", "no action"),
        ("np.full((1, 1, 1), np.nan, np.float32)", "NaN or infinity"),
    ],
)
def test_what_is_no_array_of_actions_is_refused_with_what_would_make_it_one(here, acts, words):
    env = ReachEnv(toy())
    agent = load(settings(policy(here, acts=acts)))(env.env_spec)
    with pytest.raises(BadAction, match=words):
        run_episode(env, agent, EPISODE)


def test_what_a_tensor_lacks_is_said():
    class Tensor:
        def cpu(self) -> None: ...

    with pytest.raises(BadAction, match=r"returned a Tensor; .*Return it\.cpu\(\)\.numpy\(\)"):
        checked(Tensor(), ReachEnv(toy()).env_spec, "Drift")


def test_an_object_is_kept_for_the_episodes_of_a_lane_and_each_lane_has_its_own(here):
    agent_for, spec = load(settings(policy(here))), ReachEnv(toy()).env_spec
    first = agent_for(spec)
    for _ in range(2):
        agent_for(spec).reset("Go.", seed=1)
    assert agent_for(spec) is first
    assert first._object.episodes == 2
    others: list[object] = []
    thread = threading.Thread(target=lambda: others.append(agent_for(spec)))
    thread.start()
    thread.join()
    assert others[0] is not first
    assert agent_for(ReachEnv(toy(commands_per_action=2)).env_spec) is not first


def test_an_agent_that_cannot_be_made_leaves_none_of_another_specification_in_its_place():
    made: list[object] = []

    def make(spec: object) -> object:
        if made:
            raise RuntimeError("no room")
        made.append(spec)
        return spec

    agent_for = PerLane(make)  # type: ignore[arg-type]
    agent_for("one")  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no room"):
            agent_for("two")  # type: ignore[arg-type]


def test_an_object_that_raised_is_not_asked_again(here):
    env = ReachEnv(toy())
    agent = load(settings(policy(here, acts=f"{FORWARD} if self.seed != 7 else 1 / 0")))(env.env_spec)
    before = agent._object
    agent.reset("Go.", seed=7)
    with pytest.raises(ZeroDivisionError):
        agent.act([])
    agent.reset("Go.", seed=8)
    assert agent._object is not before
    np.testing.assert_array_equal(agent.act([]), np.full((1, 1, 1), 0.05, np.float32))


def test_an_agent_that_leaves_does_not_take_its_worker_along(here):
    env = ReachEnv(toy())
    agent = load(settings(policy(here, imports="import sys", acts="sys.exit(3)")))(env.env_spec)
    with pytest.raises(AgentError, match=r"(?s)^Drift raised SystemExit: 3.*Traceback.*policy\.py.*sys\.exit\(3\)"):
        run_episode(env, agent, EPISODE)
    takes, made = "size=0", "def __new__(cls): raise SystemExit('no room')"
    with pytest.raises(AgentError, match="Drift raised SystemExit: no room"):
        load(settings(policy(here, takes=takes, declares=made)))(env.env_spec)


def test_an_unknown_option_has_a_name_of_its_own_among_errors(here):
    with pytest.raises(UnknownName):
        described(policy(here), {"sped": 1})
