"""Settings are data with sources, and what upstream would crash on or silently change is refused."""

from __future__ import annotations

import math

import msgspec
import pytest

from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.models.lingbot_va.configuration import (
    LingBotSettings,
    benchmark_names,
    from_upstream,
    load_benchmark,
    overridden,
)
from lingbot_eval.settings import as_struct


def changed(**values: object) -> LingBotSettings:
    settings: LingBotSettings = as_struct(msgspec.to_builtins(load_benchmark("libero")) | values, LingBotSettings)
    return settings


@pytest.mark.parametrize(
    ("name", "tokens_per_frame", "slots"),
    [("robotwin", 120, 9792), ("libero", 32, 2160), ("franka", 210, 13800), ("demo", 128, 8160)],
)
def test_the_benchmarks_have_the_originals_geometry(name, tokens_per_frame, slots):
    settings = load_benchmark(name)
    assert settings.video_tokens_per_frame == tokens_per_frame
    assert settings.slots == slots
    assert len(settings.q01) == 30


def test_there_are_four_benchmarks():
    assert benchmark_names() == ["demo", "franka", "libero", "robotwin"]
    with pytest.raises(UnknownName, match="did you mean 'libero'"):
        load_benchmark("libro")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"video_guidance": 1.0, "action_guidance": 3.0}, "negative prompt"),
        ({"video_exec_step": 21}, "beyond the schedule of 20"),
        ({"commands_per_frame": 6}, "multiple of 4"),
        ({"window": 1}, "holds no chunk"),
        ({"video_shift": -1.0}, "video_shift=-1 is no shift"),
        ({"action_shift": math.nan}, "action_shift=nan is no shift"),
        ({"video_guidance": math.nan}, "video_guidance=nan is no weight"),
        ({"height": 100}, "2 x 2 patches"),
        ({"layout": "tshape"}, "three cameras"),
        ({"channels": [0, 0, 1]}, "distinct"),
        ({"channels": [30]}, "within 0..29"),
        ({"q01": [0.0]}, "1 values in q01, 30 in q99"),
        ({"video_steps": 0}, "video_steps"),
        ({"video_step": 1}, "video_step"),
    ],
)
def test_an_illegal_setting_is_refused_by_name(values, words):
    with pytest.raises(BadInput, match=words):
        changed(**values)


def test_the_last_step_may_be_the_schedules():
    assert changed(video_exec_step=20).video_exec_step == 20


def test_a_checkpoints_own_values_win_and_are_told():
    settings, lines = overridden(load_benchmark("libero"), {"video_steps": 3, "height": 128, "q01": [0.5] * 30})
    assert (settings.video_steps, settings.height, settings.q01) == (3, 128, (0.5,) * 30)
    assert [line.split(":")[0] for line in lines] == ["video_steps", "q01"]


def test_upstreams_names_are_understood_and_its_other_normalisation_is_not():
    config = {
        "env_type": "none",
        "obs_cam_keys": ["a"],
        "height": 64,
        "width": 64,
        "frame_chunk_size": 2,
        "action_per_frame": 4,
        "attn_window": 30,
        "num_inference_steps": 2,
        "action_num_inference_steps": 2,
        "video_exec_step": -1,
        "guidance_scale": 5,
        "action_guidance_scale": 1,
        "snr_shift": 5.0,
        "action_snr_shift": 1.0,
        "used_action_channel_ids": [0],
        "norm_stat": {"q01": [0.0], "q99": [1.0]},
    }
    assert from_upstream(config).video_exec_step is None
    assert from_upstream(config, {"head": "a"}).cameras == {"head": "a"}
    with pytest.raises(BadInput, match="action_norm_method 'meanstd'"):
        from_upstream({**config, "action_norm_method": "meanstd"})
    with pytest.raises(UnknownName, match="env_type 'other'"):
        from_upstream({**config, "env_type": "other"})
