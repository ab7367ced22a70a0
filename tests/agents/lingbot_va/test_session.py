"""A session is the core's agent; its noise is its own, and the fast path computes what the exact one does."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.configuration import LingBotSettings, load_benchmark
from lingbot_eval.settings import as_struct
from lingbot_eval.types import Agent, Observation

SMALL = {"height": 32, "width": 32, "video_steps": 3, "action_steps": 3, "frames": 2, "window": 4}


def small(benchmark: str = "libero", **values: object) -> LingBotSettings:
    merged = msgspec.to_builtins(load_benchmark(benchmark)) | SMALL | values
    settings: LingBotSettings = as_struct(merged, LingBotSettings)
    return settings


def loaded(tiny, *, exact: bool = False, **values: Any) -> Sessions:
    return Sessions.from_pretrained(str(tiny), small(**values), dtype="float32", exact=exact)


def look(rng: np.random.Generator, settings: LingBotSettings) -> Observation:
    images = {name: rng.integers(0, 256, (40, 48, 3), dtype=np.uint8) for name in settings.cameras}
    return {"images": images, "state": np.zeros(0, np.float32)}


def play(session: Agent, settings: LingBotSettings, *, chunks: int = 4, seed: int = 1) -> list[np.ndarray]:
    """The actions of the first chunks, on pictures of noise."""
    rng = np.random.default_rng(0)
    session.reset("pick up the bowl", seed=seed)
    frames, taken = [look(rng, settings)], []
    for _ in range(chunks):
        taken.append(session.act(frames))
        frames = [look(rng, settings) for _ in taken[-1]]
    return taken


def test_the_first_chunk_is_one_frame_shorter_and_every_action_is_one_look(tiny):
    lingbot = loaded(tiny, commands_per_frame=8)
    taken = play(lingbot.new(), lingbot.model.settings, chunks=3)
    assert [actions.shape for actions in taken] == [(4, 2, 7), (8, 2, 7), (8, 2, 7)]
    assert {actions.dtype for actions in taken} == {np.dtype(np.float32)}


def test_chunks_of_one_frame_play_from_the_second_on(tiny):
    """The first one is the picture itself."""
    lingbot = loaded(tiny, frames=1)
    session = lingbot.new()
    taken = play(session, lingbot.model.settings, chunks=2)
    assert [actions.shape for actions in taken] == [(4, 1, 7), (4, 1, 7)]
    assert session.state.frame == 2


def test_the_same_seed_gives_the_same_actions_whatever_an_environment_seeds(tiny):
    lingbot = loaded(tiny)
    torch.manual_seed(1)
    first = play(lingbot.new(), lingbot.model.settings)
    torch.manual_seed(2)
    session = lingbot.new()
    play(session, lingbot.model.settings, seed=9)
    again = play(session, lingbot.model.settings)  # a session that has played before
    other = play(lingbot.new(), lingbot.model.settings, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


VARIANTS = {
    "as published": {},
    "no guidance": {"video_guidance": 1.0},
    "guided actions": {"action_guidance": 3.0},
    "partial denoising": {"video_exec_step": 2},
    "one step": {"video_exec_step": 1},
    "all steps, no clean pass": {"video_exec_step": 3},
    "two arms in a T": {"benchmark": "robotwin", "height": 64},
    "channels permuted": {"channels": [29, 3, 0, 28, 7]},
}


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_the_fast_path_equals_the_exact_one(tiny, values):
    fast, exact = loaded(tiny, **values), loaded(tiny, exact=True, **values)
    for a, b in zip(*(play(m.new(), m.model.settings) for m in (fast, exact)), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4, rtol=1e-4)


def test_open_loop_predictions_follow_each_other(tiny):
    taken = []
    for exact in (False, True):
        lingbot = loaded(tiny, exact=exact)
        session = lingbot.new(open_loop=True)
        session.reset("open the drawer", seed=3)
        images = {name: np.full((1, 32, 32, 3), 7, np.uint8) for name in lingbot.model.settings.cameras}
        taken.append([session.infer(images if chunk == 0 else None).commands for chunk in range(4)])
    np.testing.assert_allclose(*taken, atol=2e-4, rtol=1e-4)


def test_frames_that_were_not_executed_are_not_fed_back_and_groups_are_evicted_in_part(tiny):
    pools, partial = [], False
    for exact in (False, True):
        lingbot = loaded(tiny, exact=exact, frames=4)
        session, rng = lingbot.new(), np.random.default_rng(0)
        session.reset("open the drawer", seed=3)
        images = {name: rng.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8) for name in lingbot.model.settings.cameras}
        for executed in (3, 1, 2, 3, 1, 4, 4):
            commands = session.infer(images).commands[:, :executed]
            looks = 4 * executed - 4 * (session.state.frame == 0)
            session.feedback(
                {name: rng.integers(0, 256, (looks, 32, 32, 3), dtype=np.uint8) for name in images}, commands
            )
            partial = partial or any(group.first for group in session.state.cache.groups)
        pools.append(session.state.cache)
    assert partial
    assert pools[0].tokens() == pools[1].tokens()
    for ours, plain in zip(pools[0].contents(1), pools[1].contents(1), strict=True):
        torch.testing.assert_close(ours, plain, atol=2e-4, rtol=1e-4)


def test_pictures_and_commands_must_fit(tiny):
    lingbot = loaded(tiny)
    session = lingbot.new()
    session.reset("x", seed=0)
    picture = np.zeros((1, 32, 32, 3), np.uint8)
    with pytest.raises(BadInput, match="no picture of wrist"):
        session.infer({"head": picture})
    with pytest.raises(BadInput, match="needs a picture"):
        session.infer()
    commands = session.infer({"head": picture, "wrist": picture}).commands
    with pytest.raises(BadInput, match="multiple of four"):
        session.feedback({"head": picture, "wrist": picture}, commands)
    with pytest.raises(BadInput, match="the commands cover 2 latent frames and the pictures 1"):
        session.feedback(None, commands)


def test_one_forward_is_at_most_45_kernels_per_layer_and_never_waits_for_the_device(tiny):
    """Counted: operators that compute, not views; none may bring a number to the host."""
    from torch.utils._python_dispatch import TorchDispatchMode

    views = (
        "view _unsafe_view slice select transpose t unsqueeze squeeze expand permute unbind split chunk detach alias "
    )
    views += "view_as_real view_as_complex as_strided"
    called: list[str] = []

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            called.append(function._schema.name.removeprefix("aten::"))
            return function(*args, **(kwargs or {}))

    lingbot = loaded(tiny)
    session = lingbot.new()
    play(session, lingbot.model.settings, chunks=2)
    session.state.cache.drop_predictions()
    noise = torch.randn(1, 48, 2, *lingbot.model.settings.latent_size)

    def forward() -> None:
        session._forward("again", "video", noise, [500.0, 500.0], session.state.frame, rows=2, keep=None, head=True)

    with torch.no_grad():
        forward()  # a noise level and the rotary table are computed once
        with Count():
            forward()
    computed = [name for name in called if name not in views.split()]
    assert len(computed) <= 45 * lingbot.model.transformer.shape.num_layers
    assert not {"_local_scalar_dense", "nonzero", "item", "_to_copy"} & set(computed)


def test_pictures_that_are_not_what_the_encoder_reads_are_refused(tiny):
    lingbot = loaded(tiny)
    session, good = lingbot.new(), look(np.random.default_rng(0), lingbot.model.settings)
    session.reset("pick up the bowl", seed=0)
    for picture in (good["images"]["head"] / np.float32(255), good["images"]["head"][..., 0]):
        with pytest.raises(BadInput, match=r"pictures of head: .*; wanted: uint8 \(T, H, W, 3\)"):
            session.act([{**good, "images": {**good["images"], "head": picture}}])
    with pytest.raises(BadInput, match=r"no picture of wrist in what came; wanted: head, wrist"):
        session.act([{**good, "images": {"head": good["images"]["head"]}}])


def test_what_is_executed_of_the_first_chunk_is_all_but_the_given_frames_commands(tiny):
    """evaluation/robotwin/eval_polict_client_openpi.py:556, 557 @ 6f092cb."""
    lingbot = loaded(tiny)
    one, other = lingbot.new(), lingbot.new()
    first = look(np.random.default_rng(0), lingbot.model.settings)
    for session in (one, other):
        session.reset("pick up the bowl", seed=1)
    commands = other.infer({name: picture[None] for name, picture in first["images"].items()}).commands
    np.testing.assert_array_equal(one.act([first]), commands[:, 1:].transpose(1, 2, 0).reshape(4, 1, 7))
    assert not np.array_equal(commands[:, 0], commands[:, 1])


def test_a_chunks_noise_is_latents_then_actions_from_the_episodes_seed_and_the_other_prompt_is_empty(tiny):
    """wan_va/wan_va_server.py:442-455, 182 @ 6f092cb."""
    lingbot = loaded(tiny)
    settings, generator = lingbot.model.settings, torch.Generator().manual_seed(1)

    def noise(chunk: int) -> tuple[torch.Tensor, torch.Tensor]:
        latents = torch.randn(1, 48, settings.frames, *settings.latent_size, generator=generator)
        return latents, torch.randn(1, 30, settings.frames, settings.commands_per_frame, 1, generator=generator)

    taken = [play(session, settings, chunks=2) for session in (lingbot.new(), lingbot.new(noise=noise))]
    for ours, given in zip(*taken, strict=True):
        np.testing.assert_array_equal(ours, given)
    prompt = lingbot.prompt("pick up the bowl")
    texts = [lingbot.model.text.embed(text) for text in ("pick up the bowl", "")]
    for (keys, values), (same, also) in zip(prompt.layers, lingbot.forwards.prompt(texts).layers, strict=True):
        torch.testing.assert_close((keys, values), (same, also))
    assert not torch.equal(prompt.layers[0][0][0], prompt.layers[0][0][1])
