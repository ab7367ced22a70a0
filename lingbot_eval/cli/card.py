"""``lingbot-eval card DIR [RUN ...]``: a trained checkpoint's ``MODEL_CARD.md``, with the rates of runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from lingbot_eval.agents.lingbot_va.kind import require_lingbot
from lingbot_eval.cli.places import content, text_place
from lingbot_eval.cli.report import warn
from lingbot_eval.plain import say
from lingbot_eval.runs import contents
from lingbot_eval.runs.directory import RunDirectory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", type=text_place, help="a checkpoint that was trained here")
    parser.add_argument("runs", metavar="RUN", type=content, nargs="*", help="runs of it, whose rates it is to have")


def run(given: argparse.Namespace) -> int:
    """Raises BadInput for a run of another checkpoint or with other sampling, BadCheckpoint, CorruptRecords,
    NotReady."""
    require_lingbot()
    from lingbot_eval.exports.rated import keep_rates

    runs = [contents.read(RunDirectory(Path(name))) for name in given.runs]
    for said in runs:
        warn(said)
    own = keep_rates(Path(given.folder), runs)
    say(f"{Path(given.folder) / 'MODEL_CARD.md'}: {len(own.training.rates) if own.training else 0} rates")
    return 0
