"""Replay a recorded rollout or training step of the original LingBot-VA and print the largest error of each kind of
tensor.

    python tests/fidelity/replay.py CASE.json [--mode fast|exact|both] [--threads N]

Exit status 1: something is beyond the tolerances, or another call was made than recorded; 2: the case cannot be
replayed, and one line says why. The model is the folder that the case names, beside the case file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, Python looks for modules beside it alone

import torch

from lingbot_eval.errors import LingbotEvalError
from tests.fidelity.rollout import Replay
from tests.fidelity.training import TrainingReplay, is_training


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path)
    parser.add_argument("--mode", choices=("fast", "exact", "both"), default="both")
    parser.add_argument("--threads", type=int, default=1, help="identical bits need as many as recorded with")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    passed = True
    for mode in ("fast", "exact") if given.mode == "both" else (given.mode,):
        try:
            replay = (TrainingReplay if is_training(given.case) else Replay)(given.case, exact=mode == "exact")
            report = replay.run()
        except LingbotEvalError as error:
            print(f"replay: {given.case}: {error}", file=sys.stderr)
            return 2
        print(f"{given.case.stem}, {mode}: {'within tolerance' if report.passed else 'NOT EQUAL'}")
        print("\n".join(report.lines(replay.tensors)))
        passed = passed and report.passed
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
