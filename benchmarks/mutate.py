"""Change what can move a score, one thing at a time, and see whether a test notices.

    python -m benchmarks.mutate [--only TEXT] [--jobs 2] [--list FILE] [--root DIR]

Two kinds of change. *Presets*: every value of every file of ``conf/`` gets another that it could have as well (another
word of the same setting, a number moved, an element of a list, null and not null), and keys go; the tables of
``tests/presets`` must say so. *Conventions*: ``mutations.yaml`` lists pieces of code that can move a score, each with
what takes its place and the tests that could notice; those are run until one fails.

Nothing is changed in place: each job has a copy of the tree in a temporary folder, and every test process is forked
from one that has imported the big libraries once. The tests are run unchanged first; a convention whose tests are all
skipped on this machine (no SAPIEN, no torch) is named and not counted.

A change is noticed where a test itself fails, or where what it is set up with fails at an assertion or with an error
that this package raises on purpose. All else proves nothing and is BROKEN: a name that does not exist, a module that
cannot be imported, a test that went on for too long, a process that was killed.

Exit status 0: all were noticed; 1: some were not, and they are printed; 2: the list is out of date (a piece of code
that is not there exactly once), or a change is broken, or the unchanged tests fail.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import pkgutil
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

HERE = Path(__file__).resolve().parent
LIST = HERE / "mutations.yaml"

COPIED = ("lingbot_eval", "tests", "benchmarks", "pyproject.toml")

BIG = ("numpy", "scipy.stats", "scipy.spatial.transform", "gymnasium", "msgspec", "hydra", "PIL.Image", "hypothesis")
BIG_OF_LINGBOT = (
    "torch",
    "diffusers.models.autoencoders.autoencoder_kl_wan",
    "transformers.models.umt5.modeling_umt5",
    "tokenizers",
    "safetensors",
    "ftfy",
)
"""Imported before any test process is forked; none of them may import this package."""

NOTICED = 10
"""Exit status of a test process in which a test noticed the change; none that pytest or a crash ends with."""

SECONDS = 300
"""For the tests of one convention."""


class OutOfDate(Exception):
    """The list does not fit the code, or the unchanged tests fail."""


@dataclass(frozen=True)
class Mutation:
    """A piece of code that can move a score, what takes its place, and who could notice."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.file}: {self.what}"

    def applied(self, text: str) -> str:
        if (count := text.count(self.old)) != 1:
            raise OutOfDate(f"{self.name}: the old text is there {count} times, not once: {self.old!r}")
        return text.replace(self.old, self.new)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", default="", help="those with TEXT in their name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", type=Path, default=LIST)
    parser.add_argument("--root", type=Path, default=HERE.parent, help="the checkout whose code and tests are meant")
    given = parser.parse_args(argv)
    start = time.perf_counter()
    try:
        wanted = [mutation for mutation in mutations(given.list) if given.only in mutation.name]
        for mutation in wanted:
            mutation.applied((given.root / mutation.file).read_text())
        outcomes = conventions(wanted, given.root, given.jobs) if wanted else {}
    except OutOfDate as error:
        print(f"mutate: {error}", file=sys.stderr)
        return 2
    values, unnoticed = presets(given.root / "lingbot_eval" / "conf", given.only)
    survivors = [*unnoticed, *(name for name, outcome in outcomes.items() if outcome == "survived")]
    unseen = [name for name, outcome in outcomes.items() if outcome == "not run"]
    for name in unseen:
        print(f"NOT RUN   {name} (its tests are skipped here)")
    broken = {name: outcome for name, outcome in outcomes.items() if outcome.startswith("broken")}
    for name, why in broken.items():
        print(f"BROKEN    {name} ({why.partition(': ')[2]})")
    for name in survivors:
        print(f"SURVIVED  {name}")
    minutes, seconds = divmod(time.perf_counter() - start, 60)
    print(
        f"{values} values of presets, {len(outcomes) - len(unseen)} conventions changed one at a time: "
        f"{len(survivors)} unnoticed, {len(unseen)} not run, {len(broken)} broken; "
        f"{minutes:.0f} min {seconds:.0f} s, {given.jobs} jobs"
    )
    return 2 if broken else int(bool(survivors))


def mutations(file: Path) -> list[Mutation]:
    """``file``: by source file, ``tests`` and ``changes``; a change is [old, new], or these and tests of its own."""
    found = []
    for source, entry in yaml.safe_load(file.read_text()).items():
        for what, (old, new, *own) in entry["changes"].items():
            found.append(Mutation(what, source, old, new, tuple(own or entry["tests"])))
    return found


# Presets.


def presets(conf: Path, only: str = "") -> tuple[int, list[str]]:
    """How many values were changed, and which changes the tables did not notice."""
    from tests.presets.held import TABLES, differing, read

    words, count, unnoticed = choices(), 0, []
    for file in sorted(conf.rglob("*.yaml")):
        name = str(file.relative_to(conf))
        says = read(file.read_text())
        for path, other in variants(says, words):
            if only in f"{name}: {path}":
                count += 1
                if not list(differing(read(yaml.safe_dump(other, sort_keys=False)), TABLES.get(name, other))):
                    unnoticed.append(f"{name}: {path}")
    return count, unnoticed


def choices() -> Mapping[str, tuple[Any, ...]]:
    """The words that a setting can have, by its name."""
    import msgspec

    found: dict[str, tuple[Any, ...]] = {}
    for module in pkgutil.iter_modules(
        importlib.import_module("lingbot_eval.settings").__path__, "lingbot_eval.settings."
    ):
        for kind in vars(importlib.import_module(module.name)).values():
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                hints = get_type_hints(kind).items()
                found |= {name: literals for name, hint in hints if (literals := _literals(hint))}
    return found


def _literals(hint: Any) -> tuple[Any, ...]:
    """Of a Literal, or of the values of a mapping to one."""
    arguments = get_args(hint)
    if arguments and all(isinstance(argument, str) for argument in arguments):
        return arguments
    return _literals(arguments[-1]) if arguments and get_origin(hint) is not None else ()


def variants(
    says: Any, words: Mapping[str, tuple[Any, ...]], path: str = "", choice: str = ""
) -> Iterator[tuple[str, Any]]:
    """(where, the document with another value there)."""
    if isinstance(says, dict):
        for key, value in says.items():
            where = f"{path}.{key}".lstrip(".")
            below = choice if choice in words else str(key)
            for place, other in variants(value, words, where, below):
                yield place, {**says, key: other}
            yield f"{where} gone", {name: kept for name, kept in says.items() if name != key}
        if path and len(says) > 1:
            yield f"{path} in another order", dict(reversed(says.items()))
    elif isinstance(says, list):
        for number, value in enumerate(says):
            for place, other in variants(value, words, f"{path}[{number}]", choice):
                yield place, [*says[:number], other, *says[number + 1 :]]
        yield f"{path} longer", [*says, says[-1] if says else 1]
    else:
        yield path, another(says, words.get(choice, ()))


def another(value: Any, words: Sequence[Any]) -> Any:
    """A value that could stand in its place."""
    if isinstance(value, bool):
        return not value
    if value is None:
        return words[0] if words else 1
    if isinstance(value, (int, float)):
        return value + 1
    return next((word for word in words if word != value), f"{value} too")


# Conventions.


def conventions(wanted: Sequence[Mutation], root: Path, jobs: int) -> dict[str, str]:
    """By name: "noticed", "survived", "not run" where all its tests are skipped on this machine, or "broken: ...".

    Raises OutOfDate where the tests fail without any change.
    """
    tests = sorted({test for mutation in wanted for test in mutation.tests})
    for name in (*BIG, *(BIG_OF_LINGBOT if any("lingbot/" in test or "fidelity" in test for test in tests) else ())):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="lingbot_eval-mutate-") as folder:
        first = Slot(root, Path(folder) / "0")
        first.start(tests, unchanged=True)
        passed = first.passed(os.waitpid(first.process, 0)[1])
        slots = [first, *(first.copy(Path(folder) / str(job)) for job in range(1, jobs))]
        runnable = [mutation for mutation in wanted if any(_covers(test, passed) for test in mutation.tests)]
        outcomes = {mutation.name: "not run" for mutation in wanted}
        waiting, free, busy = list(reversed(runnable)), slots, dict[int, Slot]()
        while waiting or busy:
            while waiting and free:
                slot = free.pop()
                slot.change(waiting.pop())
                busy[slot.process] = slot
            process, status, used = os.wait3(0)
            slot = busy.pop(process)
            outcomes[slot.mutation.name] = outcome = slot.outcome(os.waitstatus_to_exitcode(status))
            print(f"{outcome:9} {used.ru_utime + used.ru_stime:5.1f} s of CPU  {slot.mutation.name}", flush=True)
            slot.restore()
            free.append(slot)
    return outcomes


def _covers(test: str, passed: Sequence[str]) -> bool:
    return any(name == test or name.startswith((f"{test}::", f"{test}[")) for name in passed)


class Slot:
    """A copy of the tree, in which one test process runs at a time."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in COPIED:
            source, ignored = root / name, shutil.ignore_patterns("__pycache__")
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=ignored)
            else:
                shutil.copy2(source, folder / name)
        self._clock = 1_000_000_000

    def copy(self, folder: Path) -> Slot:
        """Another one like it, with all that was compiled in it."""
        shutil.copytree(self.folder, folder)
        other = Slot.__new__(Slot)
        other.folder, other._clock = folder, self._clock
        return other

    def change(self, mutation: Mutation) -> None:
        self.mutation, self._file = mutation, self.folder / mutation.file
        self._original, self._times = self._file.read_text(), self._file.stat()
        self._file.write_text(mutation.applied(self._original))
        self._clock += 10  # a time that no compiled file has: neither size nor second may be the original's
        os.utime(self._file, (self._clock, self._clock))
        self.start(mutation.tests)

    def restore(self) -> None:
        self._file.write_text(self._original)
        os.utime(self._file, ns=(self._times.st_atime_ns, self._times.st_mtime_ns))

    def start(self, tests: Sequence[str], *, unchanged: bool = False) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.process = os.fork()
        if self.process == 0:
            code = 70
            try:
                code = self._run(tests, unchanged)
            finally:
                os._exit(code)

    def _run(self, tests: Sequence[str], unchanged: bool) -> int:
        """In the forked process."""
        os.chdir(self.folder)
        output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1), os.dup2(output, 2)
        os.environ |= {"PYTHONPATH": str(self.folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # others cost a second
        ours = ("lingbot_eval", "tests", "benchmarks")
        for name in [name for name in sys.modules if name.split(".")[0] in ours]:
            del sys.modules[name]
        sys.path[:] = [str(self.folder), *(place for place in sys.path if place not in ("", os.getcwd()))]
        import pytest

        warnings.simplefilter("ignore", pytest.PytestAssertRewriteWarning)
        ignored = "ignore::pytest.PytestAssertRewriteWarning"  # what was imported before the fork
        options = ["-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", "-W", ignored, f"--timeout={SECONDS}"]
        outcomes = Outcomes()
        code = int(pytest.main([*options, *([] if unchanged else ["-x"]), *tests], plugins=[outcomes]))
        Path("passed").write_text(json.dumps(outcomes.passed))
        return NOTICED if code == 1 and outcomes.noticed else code

    def outcome(self, code: int) -> str:
        """Of the change, by the exit status of its tests."""
        if code in (0, NOTICED):
            return "noticed" if code else "survived"
        output = (self.folder / "output").read_text(errors="replace").splitlines()
        last = next(
            (line for line in reversed(output) if line.startswith(("FAILED", "ERROR", "E  "))), "no test failed"
        )
        return f"broken: status {code}, {last}"

    def passed(self, status: int) -> list[str]:
        """The tests that passed unchanged."""
        if code := os.waitstatus_to_exitcode(status):
            output = (self.folder / "output").read_text().splitlines()
            raise OutOfDate("\n".join([f"without any change the tests end with status {code}:", *output[-40:]]))
        names: list[str] = json.loads((self.folder / "passed").read_text())
        return names


class Outcomes:
    """A plugin of pytest that notes which tests passed, and whether one noticed a change."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.noticed = False

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" and report.passed:
            self.passed.append(report.nodeid)

    def pytest_exception_interact(self, call: Any, report: Any) -> None:
        from lingbot_eval.errors import LingbotEvalError

        error, when = call.excinfo.value, getattr(report, "when", "collect")
        no_proof = isinstance(error, (NameError, ImportError, SyntaxError)) or str(error).startswith("Timeout (>")
        on_purpose = isinstance(error, (AssertionError, LingbotEvalError))
        self.noticed |= (when == "call" and not no_proof) or (when == "setup" and on_purpose)


if __name__ == "__main__":
    sys.exit(main())
