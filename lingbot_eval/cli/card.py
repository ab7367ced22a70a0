"""``lingbot-eval card DIR [RUN ...]``: a trained checkpoint's ``MODEL_CARD.md``, with the rates of runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from lingbot_eval import files
from lingbot_eval.agents.lingbot_va.kind import require_lingbot
from lingbot_eval.cli.places import content, text_place
from lingbot_eval.cli.report import warn
from lingbot_eval.errors import BadInput
from lingbot_eval.exports.model_card import model_card, rates_of
from lingbot_eval.plain import say
from lingbot_eval.runs import contents
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.settings.trained import Rate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", type=text_place, help="a checkpoint that was trained here")
    parser.add_argument("runs", metavar="RUN", type=content, nargs="*", help="runs of it, whose rates it is to have")


def run(given: argparse.Namespace) -> int:
    """Raises BadInput for a run of another checkpoint, BadCheckpoint, CorruptRecords, NotReady."""
    require_lingbot()
    from lingbot_eval.models.lingbot_va.checkpoint import locate
    from lingbot_eval.models.lingbot_va.own_file import add_rates

    folder = Path(given.folder)
    rates: list[Rate] = []
    hash = locate(str(folder)).hash()
    for name in given.runs:
        said = contents.read(RunDirectory(Path(name)))
        warn(said)
        if (played := said.run.experiment.checkpoint) != hash:
            raise BadInput(
                f"{name} is a run of the checkpoint {played or 'of nobody'}, not of {folder}, which is {hash}"
            )
        rates += rates_of(said.run.experiment, said.plan, said.final)
    own = add_rates(folder, rates)
    assert own.training is not None  # noqa: S101  (add_rates refuses it)
    file = folder / "MODEL_CARD.md"
    try:
        files.write_whole(file, model_card(folder.resolve().name, hash, own.settings, own.training).encode())
    except OSError as error:
        raise files.unwritable(file, error) from None
    say(f"{file}: {len(own.training.rates)} rates")
    return 0
