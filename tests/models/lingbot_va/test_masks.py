"""Who sees whom in a training sequence, and three ways to attend so."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.masked import masked
from lingbot_eval.models.lingbot_va.masks import CLEAN, Layout, Part, Tokens, needed, places, seen, sees, turns, whole
from lingbot_eval.models.lingbot_va.transformer import action_grid, rotary, video_grid

LATENT = (2, 2)
"""One video token per frame."""


def picture(layout: Layout) -> list[str]:
    return ["".join(".#"[int(hit)] for hit in row) for row in seen(layout)]


def test_a_chunk_is_imagined_from_the_past_and_acted_from_what_was_imagined():
    """Two chunks of one frame, one token each, in each part: noisy video, clean video, noisy and clean actions."""
    assert picture(whole(2, LATENT, 1, chunk=1, window=None)) == [
        "#.......",  # noisy video sees itself,
        ".##...#.",  # and of the second chunk also the first's clean video and actions
        "..#.....",  # clean video sees what is clean up to itself
        "..##..#.",
        "..#.#...",  # a noisy action sees its own chunk's clean video,
        "..##.##.",  # and all that was before
        "..#...#.",
        "..##..##",
    ]


def test_in_forward_dynamics_a_chunks_commands_come_before_its_video():
    """So the noisy video sees them, and they do not see what they lead to."""
    layout = needed(2, LATENT, 1, chunk=1, window=None, actions_first=True)
    assert layout.lengths == (2, 1, 0, 2)
    assert picture(layout) == [
        "#..#.",  # noisy video of the first chunk: its commands
        ".####",  # of the second: the first's video too
        "..##.",  # clean video of the first
        "...#.",  # commands of the first: nothing but themselves
        "..###",
    ]


def test_frames_of_a_chunk_see_each_other():
    layout = whole(4, LATENT, 1, chunk=2, window=None)
    assert picture(layout)[:2] == ["##" + 14 * "."] * 2
    assert picture(layout)[3] == "..##" + "##.." + 4 * "." + "##.."


def test_nobody_sees_further_than_the_window():
    """A chunk's video is two places before the next one's."""
    asking = Tokens(torch.tensor([8]), torch.tensor([0]))
    past = Tokens(torch.arange(12), torch.full((12,), CLEAN))
    assert sees(asking, past, None).nonzero()[:, 0].tolist() == list(range(8))
    assert sees(asking, past, 4).nonzero()[:, 0].tolist() == [4, 5, 6, 7]
    clean = Tokens(torch.tensor([8]), torch.tensor([CLEAN]))
    assert sees(clean, past, 4).nonzero()[:, 0].tolist() == [4, 5, 6, 7, 8]


def test_copies_do_not_see_each_other():
    layout = whole(2, LATENT, 1, chunk=1, window=None, copies=2)
    assert picture(layout)[:4] == [
        "#...........",
        ".#..#.....#.",
        "..#.........",
        "...##.....#.",
    ]


def test_what_no_noisy_token_sees_may_be_left_out():
    for chunk in (1, 2, 3):
        for window in (2, 4, None):
            full, part = (make(5, LATENT, 2, chunk, window) for make in (whole, needed))
            kept, noisy = list(range(len(part))), [*range(5), *range(10, 20)]  # clean actions stand last
            assert torch.equal(seen(part), seen(full)[kept][:, kept])
            left = sorted(set(range(len(full))) - set(kept))
            assert left
            assert not seen(full)[noisy][:, left].any()
            assert not seen(full)[kept][:, left].any()


def test_tokens_are_turned_by_their_frame_whichever_part_they_stand_in():
    layout = Layout(Part((1, 2), 2), Part((0, 1, 2)), Part((1,)), Part((0,)), (4, 6), 4, 1, None)
    video, actions = (rotary(grid, 32) for grid in (video_grid(0, 3, 4, 6), action_grid(0, 2, 4)))
    wanted = torch.cat([video[6:], video[6:], video, actions[4:], actions[:4]])
    assert torch.equal(turns(layout, 32), wanted)
    assert len(places(layout).place) == len(layout) == len(wanted)


LAYOUTS = [
    whole(5, (4, 6), 4, chunk=2, window=64),
    whole(4, (4, 4), 8, chunk=1, window=4),
    needed(5, (4, 4), 4, chunk=1, window=None, copies=3, first_given=True),
    needed(6, (4, 4), 4, chunk=4, window=4, copies=2),
    needed(5, (4, 4), 4, chunk=2, window=None, actions_first=True),
]


def attended(layout: Layout, way: str, dtype: torch.dtype) -> list[torch.Tensor]:
    """What is found, and the gradients of queries, keys and values."""
    dice = torch.Generator().manual_seed(0)
    shape = (2, len(layout), 3, 8)
    given = [torch.randn(shape, generator=dice).to(dtype).requires_grad_(way != "flex") for _ in range(3)]
    wanted = torch.randn(shape, generator=dice)
    if way == "flex":
        with torch.no_grad():
            return [masked(layout, way, torch.device("cpu")).attend(0, *given)]
    found = masked(layout, way, torch.device("cpu")).attend(0, *given)
    found.float().backward(wanted)
    return [found, *(x.grad for x in given)]


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_four_ways_to_attend_are_equal(layout):
    ways = ("dense", "flex", "chunks", "products")
    dense, flex, chunks, products = (attended(layout, way, torch.float32) for way in ways)
    torch.testing.assert_close(flex[0], dense[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(chunks, dense, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(products, dense, atol=1e-5, rtol=1e-5)
    for way in ("chunks", "products"):
        half = attended(layout, way, torch.bfloat16)
        torch.testing.assert_close(half, dense, atol=0.06, rtol=0.05, check_dtype=False)


def test_flexible_attention_is_not_trained_on_a_cpu():
    with pytest.raises(BadInput, match="choose dense or chunks"):
        masked(LAYOUTS[0], "flex", torch.device("cpu"))
