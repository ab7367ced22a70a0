"""The fast path computes what a second, plain implementation computes (``benchmarks/plain.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from benchmarks.agent_chunk import noise
from benchmarks.plain import PlainEpisode
from lingbot_eval.agents.lingbot_va.session import Session
from lingbot_eval.agents.lingbot_va.sessions import Sessions
from tests.agents.lingbot_va.test_session import VARIANTS, loaded

INSTRUCTION = "pick up the bowl"
ATOL, RTOL = 2e-4, 1e-4


def compare(lingbot: Sessions, executed: Sequence[int]) -> Session:
    """Play chunks on both, so many frames of each executed, not quite as returned; the session at its end."""
    rng = np.random.default_rng(0)
    session = lingbot.new(noise=partial(noise, lingbot.model))
    plain = PlainEpisode(lingbot.model, partial(noise, lingbot.model))
    session.reset(INSTRUCTION, seed=0)
    plain.reset(INSTRUCTION)

    def pictures(count: int) -> dict[str, np.ndarray]:
        names = lingbot.model.settings.cameras
        return {name: rng.integers(0, 256, (count, 40, 48, 3), dtype=np.uint8) for name in names}

    first = pictures(1)
    for chunk, frames in enumerate(executed):
        ours, theirs = (episode.infer(None if chunk else first) for episode in (session, plain))
        np.testing.assert_allclose(ours.commands, theirs.commands, atol=ATOL, rtol=RTOL)
        torch.testing.assert_close(ours.latents, theirs.latents, atol=ATOL, rtol=RTOL)
        commands = ours.commands
        moved = commands[:, :frames] + rng.normal(0, 0.01, commands[:, :frames].shape).astype(np.float32)
        looks = pictures(4 * (frames if chunk else frames - 1))
        session.feedback(looks, moved)
        plain.feedback(looks, moved)
    for layer, slots in enumerate(plain.layers):
        held = slots.valid.nonzero()[:, 0]
        order = held[slots.group[held].argsort(stable=True)]
        keys, values = session.state.cache.contents(layer)
        torch.testing.assert_close(keys, slots.keys[:, order], atol=ATOL, rtol=RTOL)
        torch.testing.assert_close(values, slots.values[:, order], atol=ATOL, rtol=RTOL)
    return session


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_chunks_and_histories_are_equal(tiny, values):
    compare(loaded(tiny, **values), executed=(2, 2, 2, 2))


@pytest.mark.parametrize("values", [{}, {"action_guidance": 3.0, "video_exec_step": 2}], ids=["", "guided"])
def test_they_are_equal_where_frames_are_not_executed_and_groups_are_evicted_in_part(tiny, values):
    session = compare(loaded(tiny, frames=4, **values), executed=(3, 1, 2, 3, 1))
    assert any(group.first for group in session.state.cache.groups)
