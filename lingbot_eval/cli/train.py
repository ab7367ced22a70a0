"""``lingbot-eval train``: post-training of LingBot-VA (``docs/training.md``)."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType

from lingbot_eval.agents.lingbot_va.kind import require_lingbot
from lingbot_eval.cli.screen import Screen
from lingbot_eval.cli.training_progress import TrainingProgress
from lingbot_eval.errors import NotReady
from lingbot_eval.plain import say
from lingbot_eval.runs.compose import training_names, training_settings
from lingbot_eval.settings.train import TrainSettings
from lingbot_eval.trackers import require


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="data=DIR checkpoint=DIR out=DIR, robot=NAME, any setting of lingbot_eval/conf/train; recipes "
        f"(train=NAME): {', '.join(training_names())}",
    )


def train(given: argparse.Namespace) -> int:
    """Return 0 when all steps are done. Raises as :func:`lingbot_eval.training.train.train` does."""
    settings = training_settings(given.overrides)
    require_lingbot()
    if importlib.util.find_spec("pyarrow") is None:
        raise NotReady("training reads Parquet: pip install 'lingbot_eval[train]'")
    require(settings.tracker)
    with _ended_by_a_signal():
        return _train(settings)


def _train(settings: TrainSettings) -> int:
    from lingbot_eval.training.preparing import slow
    from lingbot_eval.training.train import train as run

    first = int(os.environ.get("RANK", "0")) == 0
    if first and (words := slow(settings)):
        say(words, file=sys.stderr)
    with TrainingProgress(settings, Screen(stderr=True, quiet=not first)) as progress:
        folder = run(settings, progress.tell)
    if first:
        for place in (folder.checkpoint, folder.lerobot, folder.adapter):
            if place.exists():
                say(place)
    return 0


@contextlib.contextmanager
def _ended_by_a_signal() -> Iterator[None]:
    """Let SIGTERM end the training as Ctrl-C does, before its loop hears both."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(argv: Sequence[str] | None = None) -> int:
    """Train as ``torchrun -m lingbot_eval.cli.train`` starts it; return as ``lingbot-eval`` does."""
    from lingbot_eval.cli.lingbot_eval import main as verbs

    return verbs(["train", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    sys.exit(main())
