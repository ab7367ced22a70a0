"""The plain path, which the fast one is measured against, computes what the original computes."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

import torch

from benchmarks.plain import PlainEpisode
from tests.fidelity.report import ATOL, RTOL
from tests.fidelity.rollout import Infer, Replay, Reset
from tests.fidelity.test_golden import CASES, FOLDER


@pytest.mark.skipif(not CASES, reason=f"no recorded rollouts in {FOLDER} (set LINGBOT_EVAL_GOLDEN)")
@pytest.mark.parametrize("case", [path for path in CASES if "bf16" not in path.stem], ids=lambda path: path.stem)
def test_recorded_chunks_are_reproduced(case):
    replay = Replay(case, exact=False)
    model, tensors = replay.model, replay.tensors
    plain = PlainEpisode(
        model, lambda chunk: tuple(tensors[f"chunk{chunk}/noise/{part}"] for part in ("latents", "actions"))
    )

    def pictures(first, last):
        return {name: tensors[f"keyframes/{key}"][first:last].numpy() for name, key in model.settings.cameras.items()}

    for event in replay.case.events:
        if isinstance(event, Reset):
            plain.reset(event.prompt)
        elif isinstance(event, Infer):
            plain.frame = event.frame_st_id
            imagined = plain.infer(pictures(0, 1) if plain.frame == 0 else None)
            wanted = (tensors[f"chunk{event.chunk}/{part}"] for part in ("latents", "actions"))
            for got, recorded in zip((imagined.latents, torch.tensor(imagined.commands)), wanted, strict=True):
                torch.testing.assert_close(got, recorded, atol=ATOL, rtol=RTOL)
        else:
            first, last = event.keyframes or (0, 0)
            plain.feedback(pictures(first, last) if last > first else None, tensors[event.state].numpy())
