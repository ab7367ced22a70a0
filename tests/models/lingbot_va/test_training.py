"""The training forward on a tiny checkpoint, through the modules that inference uses."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from torch.utils.checkpoint import checkpoint

from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.configuration import load_benchmark
from lingbot_eval.models.lingbot_va.noising import Noised, noised
from lingbot_eval.models.lingbot_va.padding import padded_once
from lingbot_eval.models.lingbot_va.training import Losses, Predicted, Texts, Trainable, compared
from lingbot_eval.models.lingbot_va.transformer import VideoActionTransformer
from tests.models.lingbot_va.noisy import ORIGINAL, batch, dice

CPU = torch.device("cpu")


@pytest.fixture
def transformer(tiny) -> VideoActionTransformer:
    return loading.load_transformer(locate(str(tiny)), torch.float32, CPU)


def step(seed: int = 0, **values) -> Noised:
    return noised(batch(), msgspec.structs.replace(ORIGINAL, **values), dice(seed))


def learnt(transformer: VideoActionTransformer, given: Noised, way: str = "dense") -> tuple[Losses, list[torch.Tensor]]:
    transformer.zero_grad(set_to_none=True)
    losses = Trainable(transformer, way)(given)
    losses.total.backward()
    return losses, [parameter.grad.clone() for parameter in transformer.parameters()]


def test_gradients_reach_every_parameter_whichever_objective_was_drawn(transformer):
    for share in (0.0, 1.0):
        learnt(transformer, step(forward_dynamics_share=share))
        for name, parameter in transformer.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any() or (share and name.startswith("action_proj_out")), name


def test_forward_dynamics_learns_nothing_of_actions_but_reads_them(transformer):
    given = step(forward_dynamics_share=1.0)
    losses, _ = learnt(transformer, given)
    assert losses.action == 0
    assert losses.action_frames.shape == (2, 0)
    other = replace(given, actions=replace(given.actions, clean=-given.actions.clean))
    changed, _ = learnt(transformer, other)
    off = (changed.video_frames - losses.video_frames).abs()
    assert (off > 1e-6).all()  # of the first chunk too: it sees its own commands


@pytest.mark.parametrize("values", [{}, {"copies": 3, "chunk": (1, 1), "first_frame": "given", "window": None}])
def test_pieces_and_recomputed_blocks_learn_the_same(transformer, values):
    """Blocks are wrapped from outside, as sharding wraps them."""
    given = step(**values)
    losses, gradients = learnt(transformer, given)
    in_pieces, others = learnt(transformer, given, "chunks")
    torch.testing.assert_close(in_pieces.total, losses.total, atol=0, rtol=1e-5)
    torch.testing.assert_close(others, gradients, atol=1e-4, rtol=1e-3)
    for _, block in transformer.layers():
        block.forward = _recomputed(block.forward)
    again, same = learnt(transformer, given, "chunks")
    assert torch.equal(again.total, in_pieces.total)
    torch.testing.assert_close(same, others, atol=1e-6, rtol=1e-5)


def _recomputed(forward):
    return lambda *args: checkpoint(forward, *args, use_reentrant=False)


def test_copies_are_what_items_of_their_own_would_be(transformer):
    given = step(copies=2, chunk=(2, 2), levels="per-sample")
    losses, gradients = learnt(transformer, given)
    parts = []
    for copy in (0, 1):
        frames = slice(5 * copy, 5 * copy + 5)
        halves = [
            replace(
                half,
                noisy=half.noisy[:, :, frames],
                target=half.target[:, :, frames],
                times=half.times[:, frames],
                weights=half.weights[:, frames],
            )
            for half in (given.video, given.actions)
        ]
        layout = replace(
            given.layout,
            noisy_video=replace(given.layout.noisy_video, copies=1),
            noisy_actions=replace(given.layout.noisy_actions, copies=1),
        )
        mask = given.mask[:, :, frames]
        parts.append(learnt(transformer, replace(given, layout=layout, video=halves[0], actions=halves[1], mask=mask)))
    torch.testing.assert_close(losses.total, sum(part[0].total for part in parts) / 2)
    torch.testing.assert_close(
        gradients, [(one + two) / 2 for one, two in zip(parts[0][1], parts[1][1], strict=True)], atol=1e-4, rtol=1e-3
    )


def test_the_text_is_512_positions_of_which_the_zeros_are_one_key(transformer):
    """In float64: sums of 512 in float32 are off by more."""
    texts = batch(dtype=torch.float64).texts
    queries = torch.randn(2, 7, 3, 32, generator=dice()).double()
    padded = torch.zeros(2, 512, transformer.double().shape.text_dim).double()
    for row, text in zip(padded, texts, strict=True):
        row[: len(text)] = text
    embed = transformer.condition_embedder.text
    for layer, block in transformer.layers():
        every = Texts(block, embed(padded), torch.zeros(2, 1, 1, 512), "dense").attend(layer, queries)
        for multiple in (1, 32):
            tokens, bias = padded_once(texts, multiple)
            assert tokens.shape[1] % multiple == 0
            folded = Texts(block, embed(tokens), bias, "dense").attend(layer, queries)
            torch.testing.assert_close(folded, every, atol=1e-6, rtol=0)


def test_losses_are_weighted_means_over_frames_and_streams(transformer):
    given = step(video_weight=2.0, action_weight=0.5)
    losses, _ = learnt(transformer, given)
    for half, loss, frames in (
        (given.video, losses.video, losses.video_frames),
        (given.actions, losses.action, losses.action_frames),
    ):
        torch.testing.assert_close(loss, (frames * half.weights).mean())
    torch.testing.assert_close(losses.total, 2 * losses.video + losses.action / 2)
    assert torch.equal(losses.video_times, given.video.times)


def test_an_error_counts_in_the_channels_that_the_robot_has():
    given = step()
    everywhere = Predicted(given.video.target + 3, given.actions.target + 2)
    found = compared(everywhere, given)
    torch.testing.assert_close(found.action_frames, torch.full((2, 5), 4.0))
    torch.testing.assert_close(found.video_frames, torch.full((2, 5), 9.0))
    assert not compared(Predicted(given.video.target, given.actions.target + 2 * ~given.mask), given).total.any()


def test_a_given_frame_has_no_share_in_the_mean(transformer):
    given = step(first_frame="given", chunk=(2, 2))
    losses, _ = learnt(transformer, given)
    weighted = losses.video_frames[:, 1:] * given.video.weights[:, 1:]
    torch.testing.assert_close(losses.video, weighted.mean())


def test_bfloat16_learns_the_same_within_its_precision(transformer):
    """Weights in bfloat16 and no autocast, as the original runs: noise in the items' dtype, losses in float32."""
    exact, gradients = learnt(transformer, noised(batch(), ORIGINAL, dice()))
    half, rough = learnt(transformer.to(torch.bfloat16), noised(batch(dtype=torch.bfloat16), ORIGINAL, dice()))
    assert half.video.dtype == half.action.dtype == torch.float32
    torch.testing.assert_close(half.video, exact.video, atol=0, rtol=0.02)
    torch.testing.assert_close(half.action, exact.action, atol=0, rtol=0.02)
    norms, others = (torch.stack([grad.float().norm() for grad in found]) for found in (gradients, rough))
    assert ((norms - others).abs() <= 0.1 * norms + 1e-3 * norms.max()).all()


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_autocast_learns_the_same_within_its_precision(transformer):
    exact, _ = learnt(transformer, step())
    for way in ("dense", "chunks"):
        with torch.autocast("cpu", torch.bfloat16):
            losses = Trainable(transformer, way)(step())
        losses.total.backward()
        torch.testing.assert_close(losses.video, exact.video, atol=0, rtol=0.02)
        torch.testing.assert_close(losses.action, exact.action, atol=0, rtol=0.02)


def test_what_was_trained_plays_without_conversion(tiny):
    """Three steps, then a chunk: the session computes with the very parameters that the optimizer changed."""
    settings = load_benchmark("libero")
    settings = msgspec.structs.replace(settings, video_steps=2, action_steps=2, height=32, width=32)
    sessions = Sessions.from_pretrained(str(tiny), settings, dtype="float32")
    model = sessions.model.transformer
    pictures = {name: np.full((1, 32, 32, 3), 128, np.uint8) for name in settings.cameras}

    def played() -> np.ndarray:
        session = Sessions(sessions.model).new()
        session.reset("open the drawer", seed=0)
        return session.infer(pictures).commands

    before = played()
    optimizer, found = torch.optim.AdamW(model.parameters(), lr=3e-4), []
    trainable = Trainable(model, "chunks")
    for _ in range(3):
        losses = trainable(noised(batch(text_dim=model.shape.text_dim), ORIGINAL, dice(0)))
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        found.append(losses.total.item())
    assert found[2] < found[1] < found[0]
    after = played()
    assert np.isfinite(after).all()
    assert np.abs(after - before).max() > 1e-4
