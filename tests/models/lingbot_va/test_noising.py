"""What is drawn for a training step, and what it makes of items."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.masks import Part
from lingbot_eval.models.lingbot_va.noising import LEVELS, Levels, applied, draw, noised
from lingbot_eval.settings import as_struct, to_dict
from lingbot_eval.settings.noising import Noising
from tests.models.lingbot_va.noisy import CHANNELS, ORIGINAL, batch, dice


def changed(**values) -> Noising:
    return msgspec.structs.replace(ORIGINAL, **values)


def test_a_generator_decides_everything():
    first, again, other = (noised(batch(), ORIGINAL, dice(seed)) for seed in (1, 1, 2))
    assert first.layout == again.layout
    for name in ("noisy", "target", "times", "weights", "clean", "clean_times"):
        for half in ("video", "actions"):
            assert torch.equal(getattr(getattr(first, half), name), getattr(getattr(again, half), name))
    assert not torch.equal(first.video.times, other.video.times)


def test_noisy_frames_lie_between_data_and_noise_and_the_target_leads_from_data_to_noise():
    items, made = batch(), noised(batch(), ORIGINAL, dice())
    share = made.video.times[:, None, :, None, None] / 1000
    torch.testing.assert_close(made.video.noisy, items.latents + share * made.video.target)
    assert 0.9 < (made.video.target + items.latents).std() < 1.1
    share = made.actions.times[:, None, :, None, None] / 1000
    torch.testing.assert_close(made.actions.noisy, items.actions + share * made.actions.target)


def test_what_the_robot_lacks_stays_zero_and_clean_actions_are_never_noised():
    for seed in range(8):
        items, made = batch(), noised(batch(), ORIGINAL, dice(seed))
        lacking = [channel for channel in range(30) if channel not in CHANNELS]
        for part in (made.actions.noisy, made.actions.target, made.actions.clean):
            assert not part[:, lacking].any()
        assert torch.equal(made.actions.clean, items.actions[:, :, list(made.layout.clean_actions.frames)])
        assert not made.actions.clean_times.any()


def test_levels_are_of_the_shifted_schedule_and_the_middle_of_it_counts_most():
    levels = Levels(5.0, 0.0)
    every = torch.arange(LEVELS)
    times, weights = levels.times(every), levels.weights(every)
    assert (times[0], times[500]) == (1000, pytest.approx(5 * 0.5 / (1 + 4 * 0.5) * 1000))
    assert times[-1] == pytest.approx(5 * 0.001 / (1 + 4 * 0.001) * 1000)
    assert weights.mean() == pytest.approx(1)
    assert weights.min() == 0
    assert abs(times[weights.argmax()] - 500) < 1
    assert Levels(5.0, 0.5).weights(every).min() > 0.2
    assert levels.weights(torch.tensor([LEVELS])) == levels.times(torch.tensor([LEVELS])) == 0


def test_each_stream_has_the_levels_of_its_own_shift():
    for action_shift in (1.0, 0.05):
        made = noised(batch(), changed(action_shift=action_shift), dice())
        for half, shift in ((made.video, 5.0), (made.actions, action_shift)):
            known = Levels(shift, 0.0)
            off = (half.times[..., None] - known.times(torch.arange(LEVELS))).abs()
            assert off.amin(-1).max() < 1e-3
            torch.testing.assert_close(half.weights, known.weights(off.argmin(-1)))


def test_the_past_is_noised_in_half_of_the_steps_by_the_less_noisy_half_of_the_levels():
    draws = [draw(batch(frames=2), ORIGINAL, dice(seed)).past.levels for seed in range(200)]
    hit = [levels for levels in draws if (levels < LEVELS).any()]
    assert 70 < len(hit) < 130
    assert all((levels < LEVELS).all() and (levels >= 500).all() for levels in hit)
    assert min(levels.min() for levels in hit) < 510
    assert all(len(levels.unique(dim=0)) == 1 for levels in draws)  # one coin, and one level per frame, for all samples
    never = changed(history_share=0.0)
    assert all((draw(batch(frames=2), never, dice(seed)).past.levels == LEVELS).all() for seed in range(9))


def test_chunk_and_window_are_drawn_from_ranges_with_both_ends():
    layouts = [draw(batch(samples=1, frames=1), ORIGINAL, dice(seed)).layout for seed in range(600)]
    assert {layout.chunk for layout in layouts} == {1, 2, 3, 4}
    assert {layout.window for layout in layouts} == set(range(4, 65))
    assert draw(batch(), changed(window=None), dice()).layout.window is None


def test_levels_may_be_drawn_for_each_sample():
    for levels, count in (("per-batch", 1), ("per-sample", 2)):
        drawn = draw(batch(), changed(levels=levels, history_share=1.0), dice())
        for part in (drawn.video, drawn.actions, drawn.past):
            assert len(part.levels.unique(dim=0)) == count


def test_copies_have_noise_of_their_own_and_share_what_is_clean():
    made = noised(batch(), changed(copies=3, chunk=(1, 1)), dice())
    assert made.video.noisy.shape[2] == made.actions.noisy.shape[2] == 15
    assert made.video.clean.shape[2] == 5
    one, two, three = made.video.noisy.split(5, dim=2)
    assert not torch.equal(one, two)
    assert not torch.equal(two, three)
    data = made.video.noisy - made.video.times[:, None, :, None, None] / 1000 * made.video.target
    torch.testing.assert_close(data, batch().latents.repeat(1, 1, 3, 1, 1))


def test_a_given_first_frame_is_left_out_where_it_is_a_chunk_and_else_stands_without_noise():
    alone = noised(batch(), changed(first_frame="given", chunk=(1, 1)), dice())
    assert alone.layout.noisy_video == alone.layout.noisy_actions == Part((1, 2, 3, 4))
    beside = noised(batch(), changed(first_frame="given", chunk=(2, 2), copies=2), dice())
    for half, data in ((beside.video, batch().latents), (beside.actions, batch().actions)):
        assert torch.equal(half.noisy[:, :, [0, 5]], data[:, :, [0, 0]])
        assert not half.times[:, [0, 5]].any()
        assert half.times[:, [1, 2, 3, 4]].all()
        assert not half.weights[:, [0, 5]].any()
    with pytest.raises(BadInput, match="nothing to learn"):
        draw(batch(frames=1), changed(first_frame="given"), dice())


def test_the_first_actions_may_be_zeros_as_in_play():
    made = noised(batch(), changed(first_actions="zeros", chunk=(1, 1)), dice())
    assert not made.actions.clean[:, :, 0].any()
    assert made.actions.clean[:, :, 1].any()
    share = made.actions.times[:, None, :1, None, None] / 1000
    torch.testing.assert_close(made.actions.noisy[:, :, :1], share * made.actions.target[:, :, :1])
    assert noised(batch(), ORIGINAL, dice()).actions.clean[:, :, 0].any()


def test_of_a_long_item_a_stretch_is_read_that_may_begin_anywhere():
    items, starts = batch(), set()
    noising = changed(longest=3, chunk=(1, 1), first_frame="given", first_actions="zeros", history_share=0.0)
    for seed in range(20):
        draws = draw(items, noising, dice(seed))
        made = applied(items, noising, draws)
        assert len(set(draws.starts)) == 1
        starts.add(start := draws.starts[0])
        assert torch.equal(made.video.clean, items.latents[:, :, start : start + 3])
        assert torch.equal(made.actions.clean[:, :, 1:], items.actions[:, :, start + 1 : start + 2])
        first = items.actions[:, :, start : start + 1] * (start > 0)  # zeros stand before an item's first frame alone
        assert torch.equal(made.actions.clean[:, :, :1], first)
    assert starts == {0, 1, 2}
    apart = draw(batch(samples=9), changed(longest=2, levels="per-sample"), dice())
    assert set(apart.starts) == {0, 1, 2, 3}
    assert draw(items, changed(longest=9), dice()).frames == 5


def test_forward_dynamics_learns_video_alone_in_its_share_of_the_steps():
    mixed = changed(forward_dynamics_share=0.25)
    layouts = [draw(batch(samples=1, frames=2), mixed, dice(seed)).layout for seed in range(200)]
    first = [layout for layout in layouts if layout.actions_first]
    assert 30 < len(first) < 75
    assert all(layout.noisy_actions.runs == 0 and layout.clean_actions.frames == (0, 1) for layout in first)


def test_noise_is_added_in_the_items_dtype():
    made = noised(batch(dtype=torch.bfloat16), ORIGINAL, dice())
    assert made.video.noisy.dtype == made.video.target.dtype == torch.bfloat16
    assert made.actions.noisy.dtype == torch.float32
    assert made.video.times.dtype == torch.float32
    exact = noised(batch(), ORIGINAL, dice())
    assert torch.equal(made.video.times, exact.video.times)
    data, noise = batch(dtype=torch.bfloat16).latents, (exact.video.target + batch().latents).to(torch.bfloat16)
    share = (made.video.times / 1000).to(torch.bfloat16)[:, None, :, None, None]
    torch.testing.assert_close(made.video.noisy, (1 - share) * data + share * noise, atol=0.02, rtol=0.01)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"chunk": (4, 1)}, "no range"),
        ({"window": (9, 4)}, "no range"),
        ({"video_shift": 0.0}, "video_shift=0"),
        ({"weight_floor": float("inf")}, "no weight"),
        ({"levels": "each"}, "per-sample"),
        ({"history_share": 1.5}, "history_share"),
        ({"copies": 0}, "copies"),
        ({"colour": 1}, "colour"),
    ],
)
def test_settings_that_mean_nothing_are_refused(values, words):
    with pytest.raises(BadInput, match=words):
        as_struct({**to_dict(ORIGINAL), **values}, Noising)


def test_items_that_do_not_fit_together_are_refused():
    items = batch()
    for other in (replace(items, texts=items.texts[:1]), replace(items, actions=items.actions[:, :, :2])):
        with pytest.raises(BadInput, match="do not fit together"):
            draw(other, ORIGINAL, dice())


def test_of_items_of_several_lengths_stretches_are_read_and_never_what_is_behind_a_shorter_one():
    short = replace(batch(samples=2, frames=7), lengths=(3, 7))
    for padding in (short.latents, short.actions):
        padding[0, :, 3:] = torch.nan
    noising = changed(longest=3, levels="per-sample")
    starts = {draw(short, noising, dice(seed)).starts for seed in range(40)}
    assert [{start[item] for start in starts} for item in (0, 1)] == [{0}, {0, 1, 2, 3, 4}]
    read = noised(short, noising, dice())
    assert all(half.isfinite().all() for half in (read.video.noisy, read.video.clean, read.actions.clean))


@pytest.mark.parametrize("longest", [None, 4])
def test_items_of_several_lengths_are_refused_where_one_lacks_frames_that_are_read(longest):
    with pytest.raises(BadInput, match=r"items of 3 to 5 latent frames .* noising\.longest of at most 3"):
        draw(replace(batch(), lengths=(3, 5)), changed(longest=longest), dice())


def test_frames_that_are_given_are_seen_and_never_learnt():
    items = replace(batch(samples=2, frames=6), given=(2, 0))
    noising = changed(longest=3, levels="per-sample", first_frame="given", first_actions="zeros", chunk=(1, 1))
    starts = {draw(items, noising, dice(seed)).starts for seed in range(60)}
    assert [{start[item] for start in starts} for item in (0, 1)] == [{2, 3}, {0, 1, 2, 3}]


def test_an_item_of_which_too_little_is_learnt_is_refused():
    items = replace(batch(), given=(3, 0))
    with pytest.raises(BadInput, match=r"5 latent frames, of which the first and 3 more are given.*longest=2 would do"):
        draw(items, changed(longest=3, first_frame="given"), dice())
    with pytest.raises(BadInput, match=r"first_frame=given"):
        draw(items, changed(longest=2), dice())
