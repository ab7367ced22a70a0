"""Sessions that share a model compute together, and each computes what it would alone."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.agents.lingbot_va.batching import Batcher
from lingbot_eval.agents.lingbot_va.forwards import Part
from lingbot_eval.agents.lingbot_va.session import Session
from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.transformer import Stream, action_grid, video_grid
from tests.agents.lingbot_va.test_session import loaded, look
from tests.processes import wait_for

SENTENCES = ("pick up the bowl", "open the drawer and put the plate in it", "")


def play(session: Session, number: int, chunks: int) -> list[np.ndarray]:
    """An episode of its own: pictures, sentence, seed and length depend on ``number``."""
    rng, settings = np.random.default_rng(number), session._settings
    session.reset(SENTENCES[number], seed=number)
    frames, taken = [look(rng, settings)], []
    for _ in range(chunks):
        taken.append(session.act(frames))
        frames = [look(rng, settings) for _ in taken[-1]]
    return taken


def together(lingbot: Sessions, work: dict[int, tuple]) -> dict[int, object]:
    """Run each (function, *arguments) in a thread of its own; what it returned or raised. The first forward starts when
    all of them wait for theirs."""
    lingbot.batcher.sit()
    with ThreadPoolExecutor(len(work)) as threads:
        futures = {number: threads.submit(*job) for number, job in work.items()}
        try:
            wait_for(lambda: len(lingbot.batcher._waiting) == len(work), 60)
        finally:
            lingbot.batcher.leave()
        return {number: future.exception(60) or future.result() for number, future in futures.items()}


def sizes(lingbot: Sessions) -> list[int]:
    """How many sessions each forward of the transformer was for, from now on."""
    seen: list[int] = []
    before(lingbot, lambda parts: seen.append(len(parts)))
    return seen


def before(lingbot: Sessions, told: Callable[[Sequence[Part]], None]) -> None:
    """``told`` what each forward is for, from now on."""

    def forward(parts: Sequence[Part], stream: Stream, *, head: bool):
        told(parts)
        return lingbot.forwards(parts, stream, head=head)

    lingbot.batcher = Batcher(forward, together=lingbot.forwards.together)


def test_sessions_that_wait_for_the_same_kind_of_forward_share_it_and_act_as_if_alone(tiny):
    lingbot = loaded(tiny)
    alone, single = [], sizes(lingbot)
    for number in range(3):
        alone.append(play(lingbot.new(), number, 2 + number))
    del single[:]
    found = together(lingbot, {number: (play, lingbot.new(), number, 2 + number) for number in range(3)})
    for number, wanted in enumerate(alone):
        for ours, theirs in zip(found[number], wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-4, rtol=1e-4)
    steps = lingbot.model.settings.video_steps + 1 + lingbot.model.settings.action_steps
    assert single[:steps] == [3] * steps
    assert sum(single) == 3 * steps + 6 * (steps + 2)  # every forward was made for each session once


@pytest.mark.parametrize("stream", ["video", "action"])
def test_one_forward_of_several_sessions_is_each_ones_own_within_1e_5(tiny, stream: Stream):
    lingbot = loaded(tiny)
    sessions = []
    for number in range(3):
        sessions.append(lingbot.new())
        play(sessions[-1], number, number + 1)  # histories of one, two and three chunks
    parts = []
    for number, session in enumerate(sessions):
        start, settings, shape = session.state.frame, lingbot.model.settings, lingbot.model.transformer.shape
        if stream == "video":
            grid, width = video_grid(start, settings.frames, *settings.latent_size), 4 * shape.in_channels
        else:
            grid, width = action_grid(start, settings.frames, settings.commands_per_frame), shape.action_dim
        rows = 1 + number % 2
        noise = torch.randn(1, grid.shape[1], width, generator=torch.Generator().manual_seed(number))
        times = lingbot.forwards.times(stream, [100.0 * number + 7] * settings.frames, 4, rows)
        rotation = lingbot.forwards.rotation(grid)
        parts.append(
            Part(noise.expand(rows, -1, -1), times, rotation, session.state.prompt.first(rows), session.state.cache)
        )
    alone = [lingbot.forwards([part], stream, head=True)[0] for part in parts]
    joint = lingbot.forwards(parts, stream, head=True)
    for ours, wanted in zip(joint, alone, strict=True):
        torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=0)


def test_exact_mode_keeps_the_shapes_of_a_single_session(tiny):
    lingbot = loaded(tiny, exact=True)
    alone = [play(lingbot.new(), number, 2) for number in range(2)]
    seen = sizes(lingbot)
    found = together(lingbot, {number: (play, lingbot.new(), number, 2) for number in range(2)})
    assert set(seen) == {1}
    for number in range(2):
        assert all(np.array_equal(a, b) for a, b in zip(found[number], alone[number], strict=True))


def test_a_session_that_fails_holds_up_nobody_and_its_memory_is_free_at_once(tiny):
    lingbot = loaded(tiny)
    wanted = play(lingbot.new(), 1, 3)
    caches: list[weakref.ref] = []

    def fail() -> None:
        session = lingbot.new()
        play(session, 0, 1)
        caches.append(weakref.ref(session.state.cache))
        session.act([])  # no frames come back

    found = together(lingbot, {0: (fail,), 1: (play, lingbot.new(), 1, 3)})
    assert isinstance(found.pop(0), (BadInput, ValueError))
    np.testing.assert_allclose(np.concatenate(found[1]), np.concatenate(wanted), atol=2e-4, rtol=1e-4)
    assert caches[0]() is None


def test_a_forward_that_fails_fails_for_all_whose_it_was_and_for_nobody_after(tiny):
    lingbot = loaded(tiny)
    wanted = play(lingbot.new(), 1, 2)
    broken = threading.Event()

    def out_of_memory(parts: Sequence[Part]) -> None:
        if len(parts) == 2 and not broken.is_set():
            broken.set()
            raise MemoryError("no room")

    before(lingbot, out_of_memory)
    found = together(lingbot, {number: (play, lingbot.new(), number, 3) for number in range(2)})
    kinds = {type(error) for error in found.values()}
    assert kinds == {MemoryError, RuntimeError}, found
    again = together(lingbot, {1: (play, lingbot.new(), 1, 2)})
    np.testing.assert_allclose(np.concatenate(again[1]), np.concatenate(wanted), atol=2e-4, rtol=1e-4)


def test_another_session_may_ask_for_its_prompt_at_any_moment(tiny):
    """Between any two lines of one that asks, here."""
    lingbot, code, asked = loaded(tiny), Sessions.prompt.__code__, []

    def between(frame, event, argument):
        if frame.f_code is not code:
            return None
        if event == "line":
            sys.settrace(None)
            asked.append(lingbot.prompt("close the drawer"))
            sys.settrace(between)
        return between

    first = lingbot.prompt("open the drawer")
    sys.settrace(between)
    try:
        again = lingbot.prompt("open the drawer")
    finally:
        sys.settrace(None)
    assert asked
    for (ours, _), (wanted, _), (other, _) in zip(again.layers, first.layers, asked[0].layers, strict=True):
        assert torch.equal(ours, wanted)
        assert not torch.equal(ours[0], other[0])
