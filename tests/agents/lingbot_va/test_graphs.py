"""A recorded forward, replayed, computes what an eager one does.

No GPU is needed: the recording here keeps operators and their tensors, as a CUDA graph does, and so shows what would
go wrong with one, a value that changes but is not among the inputs.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lingbot_eval.agents.lingbot_va.batching import Batcher
from lingbot_eval.agents.lingbot_va.graphs import Graphs
from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.errors import BadInput
from tests.agents.lingbot_va.test_session import loaded, play, small

VARIANTS = {
    "as published": {},
    "guided actions": {"action_guidance": 3.0},
    "partial denoising": {"video_exec_step": 2},
    "two arms in a T": {"benchmark": "robotwin", "height": 64},
}


class Tape(TorchDispatchMode):
    """Every operator with the tensors that it was given; ``play`` runs them again on the same memory."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Callable, tuple, dict, list]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        self.calls.append((function, args, kwargs or {}, tree_leaves(out)))
        return out

    def play(self) -> None:
        for function, args, kwargs, outs in self.calls:
            for kept, new in zip(outs, tree_leaves(function(*args, **kwargs)), strict=True):
                if isinstance(kept, torch.Tensor) and kept.data_ptr() != new.data_ptr():
                    kept.copy_(new)


def on_tape(log: list[int]):
    def capture(compute):
        tape = Tape()
        with tape:
            out = compute()
        log.append(len(tape.calls))

        def replay() -> None:
            log.append(0)
            tape.play()

        return out, replay

    return capture


def taped(lingbot: Sessions, log: list[int]) -> Sessions:
    lingbot.batcher = Batcher(lingbot.forwards, graphs=Graphs(lingbot.forwards, on_tape(log)))
    return lingbot


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_replayed_forwards_are_the_eager_ones(tiny, values):
    values = {"video_steps": 5, "action_steps": 6, **values}
    wanted = loaded(tiny, **values)
    log: list[int] = []
    lingbot = taped(loaded(tiny, **values), log)
    session = lingbot.new()
    play(session, lingbot.model.settings, chunks=2, seed=7)  # another episode before: nothing of it may remain
    del log[:]
    for ours, eager in zip(
        play(session, lingbot.model.settings), play(wanted.new(), wanted.model.settings), strict=True
    ):
        np.testing.assert_allclose(ours, eager, atol=1e-6)
    recorded = [calls for calls in log if calls]
    assert len(recorded) == 4 * 2  # chunks x streams
    assert len(log) > 2 * len(recorded)  # replayed more than once


def test_a_graph_does_not_keep_the_cache_of_a_session_that_is_gone(tiny):
    log: list[int] = []
    lingbot = taped(loaded(tiny), log)
    session = lingbot.new()
    play(session, lingbot.model.settings, chunks=1)
    held = weakref.ref(session.state.cache)
    assert any(log)  # recorded
    session.end()
    assert held() is None


def test_graphs_need_cuda(tiny):
    with pytest.raises(BadInput, match=r"graphs=true needs device=cuda"):
        Sessions.from_pretrained(str(tiny), small(), graphs=True)


def test_a_channels_last_vae_encodes_and_decodes_the_same(tiny):
    from lingbot_eval.models.lingbot_va.loading import channels_last

    plain, other = loaded(tiny), loaded(tiny)
    channels_last(other.model.vision._vae)
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (1, 40, 48, 3), dtype=np.uint8) for name in plain.model.settings.cameras}
    more = {name: rng.integers(0, 256, (8, 40, 48, 3), dtype=np.uint8) for name in plain.model.settings.cameras}
    latents = []
    for lingbot in (plain, other):
        memory: dict = {}
        latents.append([lingbot.model.vision.encode(pictures, memory) for pictures in (images, more)])
    for ours, wanted in zip(latents[1], latents[0], strict=True):
        torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)
    decoded = [lingbot.model.vision.decode(latents[0][1]) for lingbot in (plain, other)]
    np.testing.assert_allclose(*decoded, atol=1e-5)
