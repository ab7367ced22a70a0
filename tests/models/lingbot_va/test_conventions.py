"""What a checkpoint was trained with, in numbers worked out by hand from the original's source (Robbyant/lingbot-va @
6f092cb, wan_va/; "server" is wan_va_server.py). Recorded rollouts hold the whole (``tests/fidelity``); these say which
part it is that changed, and need no recording."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.agents.lingbot_va.session import to_actions
from lingbot_eval.models.lingbot_va.configuration import LingBotSettings, from_upstream, load_benchmark
from lingbot_eval.models.lingbot_va.normalisation import Normalisation
from lingbot_eval.models.lingbot_va.sampling import denoise_actions, denoise_video, guided, schedule
from lingbot_eval.models.lingbot_va.transformer import action_grid, video_grid, video_latents, video_tokens
from lingbot_eval.models.lingbot_va.vision import Vision
from lingbot_eval.settings import as_struct

CPU = torch.device("cpu")


def changed(benchmark: str = "libero", **values: Any) -> LingBotSettings:
    settings: LingBotSettings = as_struct(msgspec.to_builtins(load_benchmark(benchmark)) | values, LingBotSettings)
    return settings


# Noise levels and steps: utils/scheduler.py:41-65, with sigma_min 0 and extra_one_step (server).


@pytest.mark.parametrize(
    ("shift", "sigmas"),
    [(1.0, [1.0, 0.75, 0.5, 0.25]), (5.0, [1.0, 15 / 16, 5 / 6, 5 / 8]), (0.5, [1, 0.6, 1 / 3, 1 / 7])],
)
def test_noise_levels_are_even_then_shifted_and_end_at_nothing(shift, sigmas):
    plan = schedule(4, shift)
    assert plan.sigmas == pytest.approx(sigmas)
    assert plan.timesteps == pytest.approx([1000 * sigma for sigma in sigmas])
    assert plan.changes == pytest.approx(np.diff([*sigmas, 0.0]))


def test_guidance_goes_from_the_empty_prompt_towards_the_prompt_and_1_is_the_prompt_alone():
    """server:507-510."""
    out = torch.tensor([[3.0], [1.0]])
    assert guided(out, 5.0).tolist() == [[11.0]]
    assert guided(out, 1.0).tolist() == [[3.0]]


class Watched:
    """A model that finds 1 everywhere, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[torch.Tensor, list[float], bool]] = []

    def __call__(self, step: int, noisy: torch.Tensor, times: list[float], *, commit: bool) -> torch.Tensor:
        self.asked.append((noisy.clone(), list(times), commit))
        return torch.ones_like(noisy)


def test_the_known_frame_is_clean_from_the_first_forward_to_the_result_and_the_last_forward_only_writes():
    """server:466-516, 287-290."""
    watched, seen = Watched(), torch.full((1, 1, 1, 1, 1), 7.0)
    noise = torch.full((1, 1, 3, 1, 1), 2.0)
    latents = denoise_video(watched, noise, seen, schedule(2, 1.0), 1.0, None)
    assert [times for _, times, _ in watched.asked] == [[0, 1000, 1000], [0, 500, 500], [0, 0, 0]]
    assert [noisy.flatten().tolist() for noisy, _, _ in watched.asked] == [[7, 2, 2], [7, 1.5, 1.5], [7, 1, 1]]
    assert [commit for *_, commit in watched.asked] == [False, False, True]
    assert latents.flatten().tolist() == [7, 1, 1]
    assert noise.flatten().tolist() == [2, 2, 2]


def test_a_schedule_that_stops_early_takes_its_last_step_and_writes_what_was_still_noisy():
    """server:468, 469, 502."""
    watched = Watched()
    latents = denoise_video(watched, torch.full((1, 1, 2, 1, 1), 2.0), None, schedule(4, 1.0), 1.0, 2)
    assert [(times, commit) for _, times, commit in watched.asked] == [([1000, 1000], False), ([750, 750], True)]
    assert latents.flatten().tolist() == [1.5, 1.5]


def test_actions_of_the_given_frame_and_of_channels_the_robot_lacks_are_zero_throughout():
    """server:518-557, 312-317."""
    mask = torch.tensor([True, False]).view(1, 2, 1, 1, 1)
    for first, frames in ((True, [0.0, 1.0]), (False, [1.0, 1.0])):
        watched = Watched()
        noise = torch.full((1, 2, 2, 1, 1), 2.0)
        actions = denoise_actions(watched, noise, mask, schedule(2, 1.0), 1.0, first_chunk=first)
        assert actions[0, :, :, 0, 0].tolist() == [frames, [0.0, 0.0]]
        assert [commit for *_, commit in watched.asked] == [False, False, True]
        for noisy, times, _ in watched.asked:
            assert not noisy[0, 1].any()
            assert (times[0] == 0) == (first or times[1] == 0)
            assert bool(noisy[0, 0, 0].any()) != first


# Commands and channels: server:219-247.


def test_the_quantiles_are_minus_and_plus_one_with_a_millionth_on_the_range_and_nothing_is_clipped():
    """server:231, 242."""
    settings = changed(channels=[2, 0], q01=[-1.0, 5.0, 10.0], q99=[1.0, 5.0, 30.0])
    scaling = Normalisation(settings, torch.float32, CPU)
    commands = torch.tensor([[[10.0, 30.0, 50.0]], [[0.0, 1.0, -3.0]]])  # (channel 2, channel 0), one frame
    normalised = scaling.normalised(commands)
    assert normalised.shape == (1, 3, 1, 3, 1)
    wanted = [[0, 1, -3], [0, 0, 0], [-1, 1, 3]]
    torch.testing.assert_close(normalised[0, :, 0, :, 0], torch.tensor(wanted, dtype=torch.float32), atol=4e-6, rtol=0)
    torch.testing.assert_close(scaling.commands(normalised), commands, atol=1e-5, rtol=0)
    exact = scaling.commands(torch.ones(1, 3, 1, 1, 1))
    assert exact.flatten().tolist() == [np.float32(20 + 1e-6) + 10, np.float32(np.float32(2 + 1e-6) - 1)]
    still = Normalisation(changed(channels=[1], q01=[0.0, 5.0], q99=[1.0, 5.0]), torch.float32, CPU)
    assert still.commands(torch.full((1, 2, 1, 1, 1), 3.0)).item() == pytest.approx(5 + 2e-6, abs=1e-6)
    assert still.normalised(torch.full((1, 1, 1), 6.0))[0, 1].item() == pytest.approx(2e6 - 1, rel=1e-3)


def test_a_chunks_commands_are_in_order_of_time_and_a_look_comes_after_each_quarter_of_a_frame():
    """evaluation/robotwin/eval_polict_client_openpi.py:557-559, 584."""
    commands = np.arange(2 * 3 * 8, dtype=np.float32).reshape(2, 3, 8)  # (channel, frame, command)
    actions = to_actions(commands, 2)
    assert actions.shape == (12, 2, 2)
    flat = actions.reshape(24, 2)
    np.testing.assert_array_equal(flat[:, 0], np.arange(24))
    np.testing.assert_array_equal(flat[:, 1], np.arange(24, 48))
    assert [changed(name).commands_per_look for name in ("robotwin", "libero", "franka", "demo")] == [4, 1, 5, 2]


def test_the_originals_words_mean_these_settings():
    config = {
        **{"env_type": "robotwin_tshape", "obs_cam_keys": ["a", "b", "c"], "height": 256, "width": 320},
        **{"frame_chunk_size": 2, "action_per_frame": 16, "attn_window": 72, "num_inference_steps": 25},
        **{"action_num_inference_steps": 50, "video_exec_step": 3, "guidance_scale": 6, "action_guidance_scale": 1.5},
        **{"snr_shift": 5.0, "action_snr_shift": 0.05, "used_action_channel_ids": [1, 0]},
        "norm_stat": {"q01": [-1.0, -2.0], "q99": [1.0, 2.0]},
    }
    assert from_upstream(config) == LingBotSettings(
        layout="tshape",
        cameras={"a": "a", "b": "b", "c": "c"},
        height=256,
        width=320,
        frames=2,
        commands_per_frame=16,
        window=72,
        video_steps=25,
        action_steps=50,
        video_exec_step=3,
        video_guidance=6,
        action_guidance=1.5,
        video_shift=5.0,
        action_shift=0.05,
        channels=(1, 0),
        q01=(-1.0, -2.0),
        q99=(1.0, 2.0),
    )


# Tokens and where they are: utils/utils.py:12-53.


def test_video_tokens_go_by_frame_row_and_column_of_two_by_two_and_come_back_with_the_channel_fastest():
    latents = torch.arange(2 * 2 * 4 * 4.0).view(1, 2, 2, 4, 4)  # (channel, frame, row, column)
    tokens = video_tokens(latents)
    assert tokens.shape == (1, 8, 8)
    assert tokens[0, 1].tolist() == [2, 3, 6, 7, 34, 35, 38, 39]
    assert tokens[0, 4].tolist() == [16, 17, 20, 21, 48, 49, 52, 53]
    out = tokens.view(1, 8, 2, 4).transpose(2, 3).reshape(1, 8, 8)
    torch.testing.assert_close(video_latents(out, 2, 4, 4), latents)


def test_frames_are_counted_from_the_episodes_first_and_commands_lie_between_two_of_them():
    assert video_grid(3, 2, 4, 2).tolist() == [[3, 3, 4, 4], [0, 1, 0, 1], [0, 0, 0, 0]]
    times, rows, columns = action_grid(3, 2, 3).tolist()
    assert times == pytest.approx([3.25, 3.5, 3.75, 4.25, 4.5, 4.75])
    assert rows == columns == [-1] * 6


# Pictures: server:320-368, 206-217; modules/utils.py:53-62.


class SmallVAE:
    """Averages squares of 16 pixels; four pictures (the first time, one) become one. 96 channels: the mean of
    each of the twelve numbers of a 2 x 2 square, four times; then 48 times 9, in the place of the variance."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(patch_size=2, latents_mean=[0.5] * 48, latents_std=[2.0] * 48)
        self.quant_conv = torch.nn.Identity()
        self.decoder = torch.nn.Identity()
        self.given: list[torch.Tensor] = []

    @property
    def encoder(self) -> Any:
        def encode(squares: torch.Tensor, feat_cache: list[Any], feat_idx: list[int]) -> torch.Tensor:
            self.given.append(squares)
            feat_cache.append("seen")
            pooled = torch.nn.functional.avg_pool3d(squares, (1 if squares.shape[2] == 1 else 4, 8, 8))
            return torch.cat([pooled.repeat(1, 4, 1, 1, 1), torch.full_like(pooled, 9.0).repeat(1, 4, 1, 1, 1)], dim=1)

        encode.modules = lambda: iter(())  # type: ignore[attr-defined]
        return encode


def vision(settings: LingBotSettings) -> tuple[Vision, SmallVAE]:
    vae = SmallVAE()
    return Vision(vae, settings, torch.float32, CPU), vae


def plain(settings: LingBotSettings, greys: dict[str, int], count: int = 1) -> dict[str, np.ndarray]:
    assert list(greys) == list(settings.cameras)
    return {name: np.full((count, 240, 320, 3), grey, np.uint8) for name, grey in greys.items()}


def latent(grey: int) -> float:
    """/ 255 * 2 - 1, then less the mean and through the deviation."""
    return (grey / 255 * 2 - 1 - 0.5) / 2


def test_side_by_side_cameras_lie_left_to_right_in_their_order():
    settings = changed("libero", height=32, width=32)
    small, _ = vision(settings)
    latents = small.encode(plain(settings, {"head": 0, "wrist": 255}), {})
    assert latents.shape == (1, 48, 1, 2, 4)
    expected = [[latent(0), latent(0), latent(255), latent(255)]] * 2
    torch.testing.assert_close(latents[0, 0, 0], torch.tensor(expected))


def test_in_a_t_the_wrists_lie_on_top_left_and_right_at_half_size_and_the_head_below():
    settings = changed("robotwin", height=64, width=64)
    small, vae = vision(settings)
    latents = small.encode(plain(settings, {"head": 0, "left_wrist": 51, "right_wrist": 255}), {})
    assert latents.shape == (1, 48, 1, 6, 4)
    top = [latent(51), latent(51), latent(255), latent(255)]
    expected = [top, top, *[[latent(0)] * 4] * 4]
    torch.testing.assert_close(latents[0, 0, 0], torch.tensor(expected))
    assert [tuple(squares.shape) for squares in vae.given] == [(1, 12, 1, 32, 32), (2, 12, 1, 16, 16)]


def test_what_is_decoded_is_cut_as_it_was_laid_out():
    picture = np.arange(96 * 64, dtype=np.float32).reshape(1, 96, 64, 1).repeat(3, axis=3)
    tee = vision(changed("robotwin", height=64, width=64))[0].apart(picture)
    np.testing.assert_array_equal(tee["head"], picture[:, 32:])
    np.testing.assert_array_equal(tee["left_wrist"], picture[:, :32, :32])
    np.testing.assert_array_equal(tee["right_wrist"], picture[:, :32, 32:])
    wide = vision(changed("libero", height=96, width=32))[0].apart(picture)
    np.testing.assert_array_equal(wide["head"], picture[:, :, :32])
    np.testing.assert_array_equal(wide["wrist"], picture[:, :, 32:])


def test_pictures_are_resized_bilinearly_from_pixel_centres_without_smoothing_to_minus_one_to_one():
    """server:339-341."""
    settings = changed("libero", height=32, width=32)
    row = np.repeat(np.array([0, 255], np.uint8), 8)  # 16 wide to 32
    images = dict.fromkeys(settings.cameras, np.tile(row[None, None, :, None], (1, 32, 1, 3)))
    pixels = vision(settings)[0].pixels(images)["main"]
    assert pixels.shape == (2, 3, 1, 32, 32)
    assert pixels[0, 0, 0, 0, 14:18].tolist() == pytest.approx([-1.0, -0.5, 0.5, 1.0])
    stripes = np.tile(np.array([0, 255], np.uint8), 64)  # 128 wide to 32: without smoothing the middle two of four
    images = dict.fromkeys(settings.cameras, np.tile(stripes[None, None, :, None], (1, 32, 1, 3)))
    assert vision(settings)[0].pixels(images)["main"][0, 0, 0, 0, :2].tolist() == pytest.approx([0, 0], abs=1e-6)
    block = np.repeat(np.tile(np.array([0, 255, 255, 0], np.uint8), 32)[None, None, :, None], 3, axis=3)
    images = dict.fromkeys(settings.cameras, np.tile(block, (1, 32, 1, 1)))
    assert vision(settings)[0].pixels(images)["main"][0, 0, 0, 0, :2].tolist() == pytest.approx([1, 1])


def test_squares_of_four_pixels_become_channels_by_colour_column_and_row():
    """modules/utils.py:57-61."""
    settings = changed("libero", height=32, width=32)
    small, vae = vision(settings)
    picture = np.zeros((1, 32, 32, 3), np.uint8)
    picture[0, 0, 1] = (255, 0, 0)  # red, row 0, column 1
    picture[0, 1, 0] = (0, 255, 0)  # green, row 1, column 0
    small.encode(dict.fromkeys(settings.cameras, picture), {})
    assert (vae.given[0][0, :, 0, 0, 0] > 0).nonzero().flatten().tolist() == [2, 5]


def test_four_pictures_are_a_latent_frame_and_the_first_alone_is_one():
    settings = changed("libero", height=32, width=32)
    small, _ = vision(settings)
    memory: dict[str, list[Any]] = {}
    assert small.encode(plain(settings, {"head": 0, "wrist": 0}), memory).shape[2] == 1
    assert small.encode(plain(settings, {"head": 0, "wrist": 0}, 8), memory).shape[2] == 2
