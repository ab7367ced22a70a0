"""What is installed, and what is said before: bounds, locks, and Debian's packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical

if sys.version_info >= (3, 11):
    import tomllib
else:
    pytest.skip("reads pyproject.toml by Python 3.11's tomllib", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = {"core": PROJECT["project"]["dependencies"], **PROJECT["project"]["optional-dependencies"]}
LOCKED = [
    {"python_version": python, "python_full_version": f"{python}.9", "platform_machine": machine}
    | {"sys_platform": "linux", "platform_python_implementation": "CPython"}
    for python in ("3.11", "3.12")
    for machine in ("x86_64", "aarch64")
]
"""The machines that the locks are for."""

NO_CEILING = {"rich", "cloudpickle", "termcolor", "fsspec"}
"""Of what is installed to play and to train: prints, writes files, or is imported and not used."""


def lines(file: str) -> Iterator[str]:
    """The requirements of a file of pip's, each in one line, without comments."""
    for line in (ROOT / file).read_text().replace("\\\n", " ").splitlines():
        if text := line.partition("#")[0].strip():
            yield text


def pins(file: str, machine: dict[str, str]) -> dict[str, str]:
    """Version by name, as ``file`` pins them on ``machine``."""
    found: dict[str, str] = {}
    for line in lines(file):
        requirement = Requirement(line.partition(" --hash")[0])
        if requirement.marker is None or requirement.marker.evaluate(machine):
            (one,) = requirement.specifier
            assert one.operator == "=="
            assert canonical(requirement.name) not in found
            found[canonical(requirement.name)] = one.version
    return found


def asked(machine: dict[str, str], *more: str) -> list[Requirement]:
    """What the extras and ``more`` files name for ``machine``."""
    texts = [text for texts in EXTRAS.values() for text in texts] + [line for file in more for line in lines(file)]
    found = [Requirement(text) for text in texts]
    return [one for one in found if one.marker is None or one.marker.evaluate(machine)]


def test_whatever_can_move_a_score_has_a_ceiling():
    played = [Requirement(text) for extra, texts in EXTRAS.items() if extra != "dev" for text in texts]
    open_above = {one.name for one in played if not any(it.operator in ("<", "==") for it in one.specifier)}
    assert open_above == NO_CEILING


@pytest.mark.parametrize("machine", LOCKED, ids=lambda it: f"{it['python_version']}-{it['platform_machine']}")
def test_the_lock_has_a_version_within_bounds_of_everything_that_is_asked_for(machine):
    locked = pins("install/packages.lock", machine) | {"torch": pins("constraints.txt", machine)["torch"]}
    for one in asked(machine, "requirements-libero.txt", "requirements-sapien.txt"):
        assert one.specifier.contains(locked[canonical(one.name)]), one
    builds = pins("install/build.lock", machine)
    for text in PROJECT["build-system"]["requires"]:
        assert Requirement(text).specifier.contains(builds[canonical(Requirement(text).name)])


@pytest.mark.parametrize("machine", LOCKED, ids=lambda it: f"{it['python_version']}-{it['platform_machine']}")
def test_locks_and_constraints_are_one_set_and_torch_alone_has_no_hash(machine):
    constraints, locked = pins("constraints.txt", machine), pins("install/packages.lock", machine)
    assert {name for name in constraints if name not in locked} == {"torch"}
    assert {**locked, "torch": constraints["torch"]} == constraints
    assert pins("install/build.lock", machine).items() <= locked.items()


@pytest.mark.parametrize("file", ["install/packages.lock", "install/build.lock"])
def test_a_lock_is_names_versions_and_hashes_and_nothing_else(file):
    line = re.compile(r"[a-z0-9-]+==[\w.]+ ; [^:@]+?(\s+--hash=sha256:[0-9a-f]{64})+")
    assert [text for text in lines(file) if not line.fullmatch(text)] == []
    assert len(list(lines(file))) > 5


@pytest.mark.parametrize("other", [{"python_version": "3.10"}, {"python_version": "3.13"}, {"sys_platform": "darwin"}])
def test_other_pythons_and_systems_are_held_by_the_bounds_alone(other):
    machine = {**LOCKED[0], **other}
    machine["python_full_version"] = f"{machine['python_version']}.1"
    assert pins("constraints.txt", machine) == {}


SYSTEM = {
    # apt knows bookworm alone, and Mesa is Debian 12's.
    "apt-get": """
        case "$*" in
          *RELEASE*) echo bookworm ;;
          *REPO_URI*) echo http://mirror.invalid/debian/ ;;
          *" -s "*) echo "Inst libosmesa6 (25.0.7 backports)" ;;
          *) echo "apt-get $*" >> "$TOUCHED" ;;
        esac""",
    "dpkg-query": """
        case "$*" in
          *libosmesa6*|*chromium*) exit 1 ;;
          *) echo "installed 22.3.6-1+deb12u1" ;;
        esac""",
    "sudo": 'echo "sudo $*" >> "$TOUCHED"; [ "$1" = tee ] && cat > /dev/null; exit 0',
    "id": "echo 1000",
}
"""A machine that is not ours to change: programs that say what they are asked, and change nothing."""


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Path:
    """The file in which a Debian 12 without Mesa 25 and without rights notes what would have been done to it."""
    system = Path("/etc/os-release")
    if not system.exists() or "VERSION_CODENAME=bookworm" not in system.read_text():
        pytest.skip("not Debian 12")
    for name, text in SYSTEM.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TOUCHED", str(tmp_path / "touched"))
    monkeypatch.setenv("PYTHON", sys.executable)
    for name in ("NO_SYSTEM", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # of the make that runs the tests
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "touched"


def make(target: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", "-C", str(ROOT), target, *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_make_system_says_what_it_takes_from_where_before_it_touches_anything(machine):
    said = make("system").stdout
    source = "/etc/apt/sources.list.d/bookworm-backports.list"
    assert "libosmesa6\n  mesa-vulkan-drivers 25 or newer; 22.3.6-1+deb12u1 is here" in said
    assert "by sudo" in said
    assert f"{source}: deb http://mirror.invalid/debian/ bookworm-backports main" in said
    assert f"rm {source}" in said
    assert "apt-get install --no-install-recommends -t bookworm-backports libegl1" in said
    assert "  libosmesa6 (25.0.7 backports)" in said
    done = machine.read_text().splitlines()
    assert done[0] == f"sudo tee {source}"
    assert done[1] == "sudo apt-get update -q"
    assert "apt-get install -q -y" in done[2]
    assert len(done) == 3


def test_it_says_so_first_also_where_nothing_can_be_done(machine):
    machine.with_name("sudo").write_text("#!/bin/sh\nexit 1\n")  # refuses: a wrong password, or no such right
    answer = make("system")
    assert answer.returncode != 0
    assert "This system lacks, for pictures:" in answer.stdout
    assert not machine.exists()


@pytest.mark.parametrize(("target", "lacks"), [("system", "libosmesa6"), ("browser", "chromium-headless-shell")])
def test_with_no_system_the_system_is_left_alone_and_what_it_lacks_is_said(machine, target, lacks):
    answer = make(target, "NO_SYSTEM=1")
    assert answer.returncode == 0
    assert lacks in answer.stdout
    assert "the system is left alone" in answer.stdout
    assert not machine.exists()


@pytest.mark.parametrize("target", ["demo", "test", "check", "setup", "lingbot"])
def test_no_target_runs_apt_or_sudo_beside_the_script(target, monkeypatch):
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    commands = make(target, "--dry-run", "--always-make").stdout
    assert "install/system.sh" in commands
    assert not re.search(r"\b(apt|apt-get|sudo|dpkg|npm|curl|wget)\b", commands)
