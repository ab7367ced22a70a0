"""Damages run directories, trials and manifests at random, and lets everything that reads them read on.

    python -m benchmarks.fuzz [--damages 10000] [--seed 0] [--commands 30]

Each damage is done to a fresh copy, and three readers of its kind look at it in this process, against the clock; a
sample goes through the command line. A reader must give what it gave before the damage, or refuse in one line that
names a file of that folder, or say something besides other numbers that it did not say before. Counted are:
tracebacks; hangs over ten seconds; refusals that name no file; silent changes, which are other numbers without a
sentence; and harmless files (other systems' hidden ones) that were not read past. Numbers that change because whole
files or whole last lines are gone are counted apart (docs/reliability.md, "Not promised").
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console

from lingbot_eval.cli import run_suite, verify
from lingbot_eval.cli.lingbot_eval import main as lingbot_eval
from lingbot_eval.cli.overview import overview
from lingbot_eval.errors import LingbotEvalError
from lingbot_eval.reports import page
from lingbot_eval.runs.claims import Claims
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.evaluation import prepare
from lingbot_eval.runs.experiment import Experiment
from lingbot_eval.runs.presence import Presence, Watch
from lingbot_eval.runs.records import RecordFile
from lingbot_eval.runs.status import StatusReader
from lingbot_eval.settings import to_dict
from lingbot_eval.suites.manifest import Audition, Manifest, Wanted, content_hash
from lingbot_eval.trials import TrialPlan, TrialSession, load_rubric
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Spent

PATIENCE = 10.0
"""Seconds a reader may take."""

READERS = 3
"""Of a kind, drawn anew for each damage, look at it."""

WANTED = Wanted("lift_block", "easy", 10_000, 3)
FACTS = {"sapien": "3.0.3", "revision": "1"}

Answer = tuple[Any, str]
"""What was counted, and what was said besides."""


# What is damaged.


@dataclass(frozen=True)
class Whole:
    """A folder as it should be, and those who read it, by name."""

    folder: Path
    readers: dict[str, Callable[[Path], Answer]]


def wholes(folder: Path) -> list[Whole]:
    """Small ones of each kind, made by what makes them."""
    run, trials, manifest = folder / "run", folder / "trials", folder / "manifest"
    experiment, episodes = _make_run(run)
    _make_trials(trials)
    _make_manifest(manifest)
    shutil.copytree(run, folder / "beside")

    def resumed(damaged: Path) -> Answer:
        directory = RunDirectory(damaged)
        directory.open(experiment, episodes)
        for name in ("sessions", "claims"):
            try:
                (damaged / name).mkdir(exist_ok=True)
            except OSError as error:  # as Presence says it
                raise Refused(f"{error}") from None
        claims = Claims(directory, "somebody", Watch(directory))
        taken = [claims.take(episode) for episode in episodes]
        return (len(directory.plan()), sorted(claims.records.done()), taken), _words(claims.records)

    readers: dict[str, Callable[[Path], Answer]] = {
        "report": _report,
        "view": _viewed,
        "status": _status,
        "compare": lambda damaged: _said(["compare", str(folder / "beside"), str(damaged)]),
        "diff": lambda damaged: _said(["diff", str(folder / "beside"), str(damaged)]),
        "parquet": _parquet,
        "eval-info": _eval_info,
        "verify": _verify,
        "resume": resumed,
    }
    return [
        Whole(run, readers),
        Whole(trials, {"table": lambda damaged: _said(["trial", str(damaged), "--table"]), "go on": _trials}),
        Whole(manifest, {"scenes": _scenes}),
    ]


def _make_run(folder: Path) -> tuple[Experiment, list[Episode]]:
    """Two tasks of five episodes; a failure, an ERROR of which another try came out, and one of which none did."""
    given = run_suite._parser().parse_intermixed_args(["toy", "--episodes", "5"])
    evaluation = prepare(run_suite.chosen_settings(given))
    chosen, provenance, experiment = evaluation.settings, evaluation.provenance(), evaluation.experiment
    episodes, run = evaluation.episodes(search=False), RunDirectory(folder)
    run.open(experiment, episodes)
    with Presence(run, provenance, to_dict(chosen), "run-suite toy", len(episodes)) as session:
        written = [RecordFile(folder / "records" / f"{session.id}-{lane}.jsonl") for lane in (0, 1)]
        for number, episode in enumerate(episodes):
            most = float(len(episode.task) > len("reach")) + 1
            record = EpisodeRecord(
                episode, Outcome.SUCCESS, 20 + number, 0.5 + number, progress=most, max_progress=most,
                finished=f"2026-11-29T07:24:{number:02d}.000+00:00", provenance=provenance, spent=Spent(0.1, 0.2, 0.0),
            )  # fmt: skip
            if number % 5 == 1:
                record = replace(record, outcome=Outcome.FAILURE, progress=0.0)
            if number % 5 == 3:
                failed = replace(record, outcome=Outcome.ERROR, error="it raised", spent=None, progress=0.0)
                written[number % 2].append(failed)
                session.lanes.played(number % 2, failed)
                record = replace(failed, attempt=2) if number == 3 else replace(record, attempt=2)
            session.lanes.plays(number % 2, episode)
            written[number % 2].append(record)
            session.lanes.played(number % 2, record)
    return experiment, episodes


def _make_trials(folder: Path) -> None:
    planned = TrialPlan((load_rubric("fold_pants"),), ("ours", "theirs"), 2, "alternating", 7, "", "unstated")
    with TrialSession(folder, planned, operator="op", clock=lambda: 0.0) as session:
        session.step_reached(1)
        session.success()
        session.step_reached(1)
        session.failure("dropped")
        session.correct(2, who="op", why="looked again", points=[1, 1, 0])
        session.void("a cable came off")
        session.step_reached(2)


def _make_manifest(folder: Path) -> None:
    def audition(seed: int) -> Audition:
        if seed % 2:
            return Audition(seed, "solved", "", {"seen": f"{seed}"})
        return Audition(seed, "unsolved", "too far", {})

    manifest = Manifest(folder)
    manifest.open("tabletop", FACTS)
    manifest.extend(WANTED, audition, lambda: False)


# Who reads.


class Refused(LingbotEvalError):
    """A command ended with status 2."""


def _said(arguments: list[str]) -> Answer:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        ended = lingbot_eval(arguments)
    if ended == 2:
        raise Refused(err.getvalue())
    folder = next(word for word in arguments[::-1] if "/" in word)
    return re.sub(r"\s+", " ", out.getvalue().replace(folder, "RUN")), err.getvalue()


def _report(damaged: Path) -> Answer:
    said = _said(["report", str(damaged)])[1]
    return (damaged / "report" / "table.csv").read_text(), said


def _viewed(damaged: Path) -> Answer:
    shown = page.read(RunDirectory(damaged))
    return (repr(shown.tasks), repr(shown.episodes)), "\n".join(shown.warnings)


def _status(damaged: Path) -> Answer:
    console, err = Console(file=io.StringIO(), width=160), io.StringIO()
    with contextlib.redirect_stderr(err):
        standing = StatusReader(RunDirectory(damaged)).read()
        console.print(overview(standing, 160))
    counted = {id: (r.outcome.value, r.progress, r.commands) for id, r in standing.final.items()}
    return (len(standing.plan), counted), "\n".join([*standing.warnings, *RunDirectory(damaged).strangers()])


def _words(records: Any) -> str:
    """What ``status`` and the rest say of records."""
    return "\n".join([*records.torn, *records.doubts])


def _parquet(damaged: Path) -> Answer:
    said = _said(["export", str(damaged), "--to", "parquet"])[1]
    return pq.read_table(damaged / "export" / "records.parquet").to_pylist(), said


def _eval_info(damaged: Path) -> Answer:
    said = _said(["export", str(damaged), "--to", "eval-info"])[1]
    return json.loads((damaged / "export" / "eval_info.json").read_text()), said


def _verify(damaged: Path) -> Answer:
    """What it does before it plays."""
    folder = RunDirectory(damaged)
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        chosen = [(r.episode.id, r.outcome.value, r.commands) for r in verify._recorded(folder, 3)]
    verify._require_deterministic(folder, folder.run().coordinators)
    verify._settings(folder, [])
    return chosen, err.getvalue()


def _trials(damaged: Path) -> Answer:
    with TrialSession(damaged, operator="op") as session:
        records = [session.record(number) for number in range(1, len(session.slots) + 1)]
        events = repr(session._events)
        counted = [one and (one.outcome.value, one.progress) for one in records]
        return (counted, session.current and session.number, events), "\n".join(session.warnings)


def _scenes(damaged: Path) -> Answer:
    manifest = Manifest(damaged)
    differences = manifest.open("tabletop", FACTS)
    counted = (
        [(scene.seed, dict(scene.sentences)) for scene in manifest.scenes(WANTED)],
        content_hash(manifest, [WANTED]),
    )
    return counted, "\n".join([*differences, *manifest.warnings([WANTED])])


# How they are damaged.


def flip(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    if content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def scribble(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    start = chance.randrange(len(content) + 1)
    content[start : start + chance.randrange(40)] = chance.randbytes(chance.randrange(40))
    file.write_bytes(content)


def cut(file: Path, chance: random.Random) -> None:
    os.truncate(file, chance.randrange(file.stat().st_size + 1))


def empty(file: Path, chance: random.Random) -> None:
    os.truncate(file, 0)


def remove(file: Path, chance: random.Random) -> None:
    file.unlink()


def folder_instead(file: Path, chance: random.Random) -> None:
    file.unlink()
    file.mkdir()


def fifo_instead(file: Path, chance: random.Random) -> None:
    file.unlink()
    os.mkfifo(file)


def link_instead(file: Path, chance: random.Random) -> None:
    file.unlink()
    file.symlink_to(chance.choice(["/nowhere/at/all", file.name, "/dev/null", "/etc/hostname", "/"]))


def nest(file: Path, chance: random.Random) -> None:
    depth = chance.choice([10, 100, 900, 100_000])
    start = chance.choice([b"[", b'{"a":'])
    deep = start * depth + b"1" + (b"]" if start == b"[" else b"}") * depth
    lines = file.read_bytes().splitlines() or [b""]
    where = chance.randrange(len(lines))
    lines[where] = chance.choice([deep, lines[where][:-1] + b',"more":' + deep + b"}"])
    file.write_bytes(b"\n".join(lines) + b"\n")


def recode(file: Path, chance: random.Random) -> None:
    content = file.read_bytes()
    text = content.decode(errors="replace")
    file.write_bytes(
        chance.choice(
            [
                text.encode("utf-16"),
                b"\xef\xbb\xbf" + content,
                content.replace(b"\n", b"\r\n"),
                content.replace(b"e", b"\xe9", 1),
                text.encode("utf-32"),
                content.replace(b"a", b"\xff\xfe"),
            ]
        )
    )


def swell(file: Path, chance: random.Random) -> None:
    """By 200 MB without a newline."""
    os.truncate(file, 200_000_000)


def shuffle_lines(file: Path, chance: random.Random) -> None:
    lines = file.read_bytes().splitlines(keepends=True) or [b"\n"]
    place = chance.randrange(len(lines))
    act = chance.randrange(4)
    if act == 0:
        lines.insert(chance.randrange(len(lines)), lines[place])
    elif act == 1:
        chance.shuffle(lines)
    elif act == 2 and place < len(lines) - 1:  # whole last lines: not promised
        del lines[place]
    else:
        lines.insert(place, chance.choice([b"\n", b"{}\n", b"null\n", b"\0" * 50 + b"\n"]))
    file.write_bytes(b"".join(lines))


VALUES = [None, "x", -1, 0, 1e9, 10**30, 0.5, [], {}, True, "success", float("nan"), float("inf")]


def edit(file: Path, chance: random.Random) -> None:
    """A value replaced or a key taken out, as an editor would; checksums stay, or are taken out everywhere."""
    try:
        whole = file.suffix == ".json"
        texts = [file.read_text()] if whole else file.read_text().splitlines()
        objects = [json.loads(text) for text in texts]
    except ValueError:
        return flip(file, chance)
    inside = chance.choice(objects or [{}])
    while isinstance(inside, (dict, list)) and inside:
        key = chance.choice(list(inside)) if isinstance(inside, dict) else chance.randrange(len(inside))
        if isinstance(inside[key], (dict, list)) and chance.random() < 0.8:
            inside = inside[key]
        elif chance.random() < 0.4:
            del inside[key]
            break
        else:
            inside[key] = chance.choice(VALUES)
            break
    if chance.random() < 0.5:
        for one in objects:
            if isinstance(one, dict):
                one.pop("chain", None)
                one.pop("checksum", None)
    texts = [json.dumps(one, indent=2 if whole else None) for one in objects]
    file.write_text("\n".join(texts) + "\n")
    return None


def sed(file: Path, chance: random.Random) -> None:
    there, here = chance.choice([(b"failure", b"success"), (b"error", b"failure"), (b"reach", b"return"), (b"1", b"2")])
    file.write_bytes(file.read_bytes().replace(there, here))


FILES = [
    *(flip, flip, flip, flip, scribble, cut, empty, remove, folder_instead, fifo_instead, link_instead, nest, recode),
    *(shuffle_lines, edit, edit, edit, sed),
]


def folder_lost(folder: Path, chance: random.Random) -> None:
    shutil.rmtree(folder)


def file_for_folder(folder: Path, chance: random.Random) -> None:
    shutil.rmtree(folder)
    folder.write_text("a file")


def link_for_folder(folder: Path, chance: random.Random) -> None:
    shutil.rmtree(folder)
    folder.symlink_to(chance.choice(["/nowhere/at/all", folder.name, "/dev/null"]))


def fifo_for_folder(folder: Path, chance: random.Random) -> None:
    shutil.rmtree(folder)
    os.mkfifo(folder)


def strange(folder: Path, chance: random.Random) -> None:
    """Something that is nobody's."""
    name = chance.choice(
        ["x.jsonl", "notes.txt", "0123456789ab.jsonl", "a.json", "a.live.json", "Icon\r", "x.jsonl.bak"]
    )
    with contextlib.suppress(FileExistsError):
        chance.choice([Path.touch, Path.mkdir, os.mkfifo, lambda file: file.write_bytes(b"\xff\0garbage\n")])(
            folder / name
        )


def hidden(folder: Path, chance: random.Random) -> None:
    """What other systems leave: it must change nothing."""
    name = chance.choice(
        ["._run.json", "._a.jsonl", ".nfs0000000000000001", ".DS_Store", ".a.jsonl.0f0f0f0f", "._a.json"]
    )
    chance.choice([Path.touch, Path.mkdir, os.mkfifo, lambda file: file.write_bytes(b"\xff\0garbage\n")])(folder / name)


def plan_twice(folder: Path, chance: random.Random) -> None:
    """A plan with a line repeated, and one with none, each under its own hash."""
    for part in folder.rglob("plan/*.jsonl"):
        lines = part.read_bytes().splitlines(keepends=True)
        content = chance.choice([b"".join([*lines, lines[-1]]), b"".join([lines[0], *lines]), b"", b"\n", b"{}\n"])
        if chance.random() < 0.5:
            part.unlink()
        (part.parent / f"{hashlib.sha256(content).hexdigest()[:12]}.jsonl").write_bytes(content)


FOLDERS = [folder_lost, file_for_folder, link_for_folder, fifo_for_folder, strange, strange, hidden, hidden, plan_twice]


def damage(folder: Path, chance: random.Random) -> tuple[str, str]:
    """Do one; its name, and to what."""
    if chance.random() < 0.02:
        files = sorted(file for file in folder.rglob("*.json*") if file.is_file())
        file = chance.choice(files)
        swell(file, chance)
        return "swell", str(file.relative_to(folder))
    if chance.random() < 0.25:
        act = chance.choice(FOLDERS)
        folders = [folder, *sorted(f for f in folder.rglob("*") if f.is_dir())]
        at = (
            folder
            if act is plan_twice
            else chance.choice(folders if act in (strange, hidden) else folders[1:] or folders)
        )
        act(at, chance)
        return act.__name__, str(at.relative_to(folder))
    file = chance.choice(sorted(file for file in folder.rglob("*") if file.is_file()))
    act = chance.choice(FILES)
    act(file, chance)
    return act.__name__, str(file.relative_to(folder))


# What comes of it.


class Hang(BaseException):
    pass


@contextlib.contextmanager
def clock(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


BAD = ("traceback", "hang", "silent", "unnamed", "disturbed")
"""What must not come of a damage."""


def outcome(
    read: Callable[[Path], Answer], folder: Path, before: Answer, harmless: bool, known: AbstractSet[str]
) -> tuple[str, str]:
    """What comes of reading ``folder``, and in words. ``before``: of the damage. ``known``: what it held then."""
    try:
        with clock(PATIENCE):
            counted, said = read(folder)
    except Hang:
        return "hang", ""
    except LingbotEvalError as error:
        words = str(error).strip()
        if harmless:
            return "disturbed", words
        whole = folder.is_dir() and not folder.is_symlink() and known <= held(folder)
        names = [f"/{name}" for name in known | held(folder)] + [str(folder)] * (not whole)  # else it says nothing
        named = any(re.search(rf"{re.escape(name)}\b", words) for name in names)
        return ("refused" if named and words.count("\n") <= 1 else "unnamed"), words
    except Exception:  # noqa: BLE001  (what is looked for)
        return "traceback", traceback.format_exc()
    if repr(counted) == repr(before[0]):
        return "same", said
    new = {line for line in said.splitlines() if line.strip()} - set(before[1].splitlines())
    return ("said" if new else "silent"), f"{said}\n{before[0]!r}\n{counted!r}"


def held(folder: Path) -> set[str]:
    """The paths in ``folder``, from there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def missing_only(whole: Path, damaged: Path) -> bool:
    """Whether nothing differs but files that are gone, or cut after a whole line."""
    for file in whole.rglob("*"):
        other = damaged / file.relative_to(whole)
        if not file.is_file() or not os.path.lexists(other):
            continue
        if other.is_symlink() or not other.is_file():
            return False
        content, kept = file.read_bytes(), other.read_bytes()
        if kept != content and not (content.startswith(kept) and (kept.endswith(b"\n") or not kept)):
            return False
    return all((whole / f.relative_to(damaged)).exists() for f in damaged.rglob("*") if f.is_file())


def fuzz(damages: int, seed: int, scratch: Path, commands: int = 0) -> tuple[Counter[str], list[str]]:
    """How often what came of it, and what should not have."""
    found, wrong = Counter[str](), []
    kinds = wholes(scratch / "whole")
    before, damaged = {}, scratch / "damaged"
    for whole in kinds:
        for name, read in whole.readers.items():
            shutil.copytree(whole.folder, damaged)
            before[whole.folder.name, name] = read(damaged)
            shutil.rmtree(damaged)
    for number in range(damages):
        chance = random.Random(f"{seed}/{number}")  # noqa: S311  (nothing secret)
        whole = chance.choices(kinds, [6, 3, 1])[0]
        shutil.copytree(whole.folder, damaged)
        known = held(damaged)
        done, where = damage(damaged, chance)
        excused = missing_only(whole.folder, damaged)
        if number < commands:
            _command_line(damaged, whole, chance, found, wrong)
        for name, read in chance.sample(sorted(whole.readers.items()), min(READERS, len(whole.readers))):
            what, words = outcome(read, damaged, before[whole.folder.name, name], done == "hidden", known)
            if what == "silent" and excused:
                what = "missing"
            found[what] += 1
            if what in BAD:
                wrong.append(f"{what}: damage {number} ({done} {whole.folder.name}/{where}), {name}: {words}")
        _removed(damaged)
    return found, wrong


def _command_line(damaged: Path, whole: Whole, chance: random.Random, found: Counter[str], wrong: list[str]) -> None:
    lines = [["status", str(damaged)], ["diff", str(damaged), str(damaged)], ["report", str(damaged)]]
    if whole.folder.name == "trials":
        lines = [["trial", str(damaged), "--table"], ["trial", str(damaged), "--next"]]
    if whole.folder.name == "manifest":
        return
    line = chance.choice(lines)
    command = [sys.executable, "-m", "lingbot_eval.cli.lingbot_eval", *line]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=6 * PATIENCE)
    except subprocess.TimeoutExpired:
        found["command hang"] += 1
        wrong.append(f"hang: {line}")
        return
    if "Traceback" in ended.stderr or ended.returncode not in (0, 1, 2):
        found["command traceback"] += 1
        wrong.append(f"traceback: {line}: {ended.stderr}")
    found["command"] += 1


def _removed(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--damages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", type=int, default=30, help="how many go through the command line, too")
    parser.add_argument("--log", type=Path, help="what should not have come, in full")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as scratch:
        found, wrong = fuzz(given.damages, given.seed, Path(scratch), given.commands)
    if given.log:
        given.log.write_text("\n\n".join(wrong))
    readings = sum(number for what, number in found.items() if not what.startswith("command"))
    print(f"{given.damages} damages, seed {given.seed}; of {readings} readings:")
    for what in ("same", "refused", "said", "missing", *BAD, "command", "command hang", "command traceback"):
        print(f"{what:18} {found[what]:7}")
    return int(any(found[what] for what in (*BAD, "command hang", "command traceback")))


if __name__ == "__main__":
    sys.exit(main())
