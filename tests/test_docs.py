"""What the documents say that can be checked: paths, links, commands, names of tests."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lingbot_eval.cli import lingbot_eval, run_suite
from lingbot_eval.errors import BadInput

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BASES = ("", "lingbot_eval", "tests", "lingbot_eval/envs")
"""Where the documents' paths begin; `tests` is where those of docs/reliability.md do."""

FOLDERS = {path.name for base in BASES[:2] for path in (ROOT / base).iterdir() if path.is_dir()} - {"runs"}
"""A path that begins with one of these is ours; `runs/x` is somebody's run directory."""

THEIRS = {
    "_base_task.py",
    "bddl_base_domain.py",
    "panda_gripper.py",
    "policy.py",
    "env.py",
}
"""Files of other projects, and of readers, that the documents name without a folder."""

document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@document
def test_every_link_leads_somewhere(document: Path):
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(document.read_text())):
        if "://" in target:
            continue
        place, _, anchor = target.partition("#")
        file = (document.parent / place).resolve() if place else document
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            lost.append(target)
    assert lost == []


@document
def test_every_path_that_is_named_exists(document: Path):
    named = [word.strip() for word in re.findall(r"`([^`\n]+)`", _prose(document.read_text()))]
    assert [word for word in named if _is_path(word) and not _exists(word)] == []


@document
def test_every_command_can_be_given(document: Path):
    refused = []
    for words in _commands(document.read_text()):
        try:
            _parse(words)
        except (BadInput, AssertionError) as error:
            refused.append(f"{shlex.join(words)}: {error}")
        except SystemExit:
            pass  # --help was shown
    assert refused == []


def test_every_test_that_is_named_exists():
    everything = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    named = {name for document in DOCUMENTS for name in re.findall(r"`(test_\w+)(?:\.\.\.)?`", document.read_text())}
    assert len(named) > 10
    assert sorted(name for name in named if f"def {name}" not in everything) == []


def test_every_page_that_the_code_names_exists():
    sources = [
        file for folder in ("lingbot_eval", "tests", "benchmarks", "examples") for file in (ROOT / folder).rglob("*.py")
    ]
    named = {
        page: file.relative_to(ROOT)
        for file in sources
        if file != Path(__file__)
        for page in re.findall(r"(?<![\w/])docs/[\w/-]+\.md", file.read_text())
    }
    assert len(named) > 5
    assert {page: str(file) for page, file in named.items() if not (ROOT / page).is_file()} == {}


def test_paths_links_and_commands_are_found():
    text = "`envs/x.py` `lingbot-eval ls`\n```console\n$ run-suite toy \\\n    --tasks 0 | head  # words\n```\n"
    assert list(_commands(text)) == [["run-suite", "toy", "--tasks", "0"], ["lingbot-eval", "ls"]]
    assert _is_path("envs/x.py")
    assert not _exists("envs/x.py")
    with pytest.raises(BadInput):
        _parse(["run-suite", "toy", "--task", "0", "--no-such-flag"])
    everything = [words for document in DOCUMENTS for words in _commands(document.read_text())]
    assert len(everything) > 60


def test_every_test_that_reliability_names_is_there():
    text = (ROOT / "docs" / "reliability.md").read_text()
    promised = text.partition("## Promised")[2].partition("## All of it")[0]
    everything = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    files, names = re.findall(r"`([\w/]+\.py)`", promised), re.findall(r"`(\w+)\.\.\.`", promised)
    assert len(files) > 10
    assert len(names) > 20
    assert [file for file in files if not (ROOT / "tests" / file).is_file()] == []
    assert [name for name in names if f"def test_{name}" not in everything] == []


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert sorted(page for page in pages if f"]({page}" not in index) == []


def _prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def _anchors(file: Path) -> set[str]:
    """The names that GitHub gives headings."""
    headings = re.findall(r"^#+ (.+)$", _prose(file.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _is_path(word: str) -> bool:
    if not re.fullmatch(r"[\w.*/-]+(:\w+)?", word) or word.startswith(("/", "-", "RUN/")):
        return False
    if "/" not in word:
        return word.partition(":")[0].endswith(".py") and word not in THEIRS
    ends = word.partition(":")[0].endswith((".py", ".md", ".sbatch"))
    return word.partition("/")[0] in FOLDERS or ends


def _exists(word: str) -> bool:
    """Whether there is such a file, and in it the name behind a colon."""
    place, _, name = word.partition(":")
    if "/" not in place:
        files = [file for file in ROOT.rglob(place) if ".venv" not in file.parts]
    else:
        files = [file for base in BASES for file in (ROOT / base).glob(place.rstrip("/"))]
    return any(not name or re.search(rf"\b{name}\b", file.read_text()) for file in files)


def _commands(text: str) -> Iterator[list[str]]:
    """The words of every command of ours: lines that begin with `$ ` in a fence, and what stands between backticks
    without a sign that stands for something else."""
    for block in re.findall(r"^```(?:console)?\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        for line in re.findall(r"^\$ (.+)$", block.replace("\\\n", " "), flags=re.MULTILINE):
            yield from _split(line)
    for line in re.findall(r"^    ((?:run-suite|lingbot-eval|make) .+)$", text, flags=re.MULTILINE):
        if not re.search(r"[\[…]", line):
            yield from _split(line)
    for line in re.findall(r"`((?:run-suite|lingbot-eval|make|python -m) [^`\n]+)`", _prose(text)):
        if not re.search(r"[\[…|]|\.\.\.", line):
            yield from _split(line)


def _split(line: str) -> Iterator[list[str]]:
    reader = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    reader.whitespace_split = True
    words: list[str] = []
    for word in [*reader, ";"]:
        if set(word) <= set("|&;<>"):
            if words and words[0] in (*PARSERS, "python", "make", "sbatch"):
                yield words
            words = []
        else:
            words.append(word)


def _run_suite(arguments: list[str]) -> object:
    return run_suite._parser().parse_intermixed_args(arguments)


PARSERS: dict[str, Callable[[list[str]], object]] = {"run-suite": _run_suite, "lingbot-eval": lingbot_eval._parsed}


def _parse(words: list[str]) -> None:
    """Raises BadInput or AssertionError for what no shell could be given. Nothing is run."""
    program, *arguments = words
    if program == "lingbot-eval" and len(arguments) == 1:
        PARSERS[program]([*arguments, "--help"])  # it is named, not given
    elif program in PARSERS:
        PARSERS[program](arguments)
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert [word for word in arguments if "=" not in word and word not in targets] == []
    elif program == "sbatch":
        script = next(k for k, word in enumerate(arguments) if word.endswith(".sbatch"))
        assert (ROOT / arguments[script]).is_file()
        _run_suite(arguments[script + 1 :])
    elif arguments[:1] == ["-m"] and arguments[1] != "venv":
        assert (ROOT / f"{arguments[1].replace('.', '/')}.py").is_file(), "no such module"
    elif arguments[0].endswith(".py"):
        assert (ROOT / arguments[0]).is_file(), "no such script"
