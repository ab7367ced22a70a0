"""``lingbot-eval export RUN --to FORMAT``: a run in other people's formats (``docs/export.md``)."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import secrets
import sys
from pathlib import Path

from lingbot_eval import files
from lingbot_eval.cli.places import content, place
from lingbot_eval.cli.report import warn
from lingbot_eval.errors import BadInput, NotReady, UnknownName
from lingbot_eval.plain import say
from lingbot_eval.runs import contents
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.types import Outcome

FORMATS = {
    "eval-info": "LeRobot's eval_info.json",
    "parquet": "a Parquet of all records",
    "lerobot-2.1": "a LeRobotDataset of the played episodes, as LingBot-VA's post-training reads it",
    "lerobot-3.0": "a LeRobotDataset of the played episodes, as LeRobot reads it from 0.4 on",
}

OUTCOMES = {"success": {Outcome.SUCCESS}, "failure": {Outcome.FAILURE}, "all": {Outcome.SUCCESS, Outcome.FAILURE}}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=content)
    parser.add_argument(
        "--to", metavar="FORMAT", required=True, help="; ".join(f"{name}: {words}" for name, words in FORMATS.items())
    )
    parser.add_argument("--out", metavar="PATH", type=place, help="a new file or folder (default: in RUN/export)")
    parser.add_argument(
        "--outcome", metavar="WORD", default="success", help="lerobot-*: success (default) | failure | all"
    )
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="lerobot-*: simulators that play at once")


def export(given: argparse.Namespace) -> int:
    """Return 0; 1 where an episode was left out because it did not end as recorded.

    Raises BadInput, UnknownName, NotReady, RunMismatch and CorruptRecords.
    """
    if given.to not in FORMATS:
        raise UnknownName("format", given.to, FORMATS)
    if given.outcome not in OUTCOMES:
        raise UnknownName("outcome", given.outcome, OUTCOMES)
    if given.to != "eval-info":
        require_pyarrow(f"--to {given.to}")
    folder = RunDirectory(Path(given.run))
    said = contents.read(folder)
    warn(said)
    name = {"eval-info": "eval_info.json", "parquet": "records.parquet"}.get(given.to, given.to)
    out = Path(given.out) if given.out else folder.path / "export" / name
    try:
        if given.out:
            out.parent.mkdir(parents=True, exist_ok=True)
        else:
            files.made(out.parent)
        left_out = _dataset(folder, given, out) if given.to.startswith("lerobot-") else _file(said, given.to, out)
    except OSError as error:
        raise NotReady(f"cannot write {out}: {error.strerror or error}") from None
    say(out)
    return int(left_out > 0)


def require_pyarrow(what: str) -> None:
    """Raise NotReady where pyarrow is not installed, which ``what`` needs."""
    if importlib.util.find_spec("pyarrow") is None:
        raise NotReady(f"{what} needs pyarrow: pip install 'lingbot_eval[export]'")


def _file(said: contents.Contents, to: str, out: Path) -> int:
    """Write a format that is one file. Return 0: nothing was left out."""
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        if to == "eval-info":
            from lingbot_eval.exports.eval_info import eval_info

            info = eval_info(said.run.experiment.suite.name, said.plan, said.final, said.folder.path)
            part.write_text(json.dumps(info, indent=2) + "\n")
        else:
            from lingbot_eval.exports import records as table

            table.write(said.records, said.run.experiment, part)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return 0


def _dataset(folder: RunDirectory, given: argparse.Namespace, out: Path) -> int:
    """Write a format that is a folder, which grows beside ``out`` and stays there when we are stopped: the same command
    goes on. Return how many episodes were left out."""
    if out.exists():
        raise BadInput(f"{out} exists; choose another with --out DIR, or remove it")
    if given.workers < 1:
        raise BadInput(f"--workers {given.workers}: at least one simulator plays")
    from lingbot_eval.exports import lerobot

    part = out.with_name(f".{out.name}.{given.to}")
    files.made(part)
    form, outcomes = lerobot.Form(given.to.removeprefix("lerobot-")), OUTCOMES[given.outcome]
    try:
        left_out = lerobot.write(folder, form, outcomes, part, _tell, given.workers)
    finally:
        with contextlib.suppress(OSError):  # it is not empty: there is something to go on with
            part.rmdir()
    part.replace(out)
    return left_out


def _tell(words: str) -> None:
    say(words, file=sys.stderr)
