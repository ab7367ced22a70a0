"""The settings of a checkpoint come from one of three places: they are shipped per benchmark,
brought by the checkpoint, or written with upstream's names.

The struct itself is ``lingbot_eval/settings/lingbot_va.py``. No torch here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping
from importlib import resources
from typing import Any

import msgspec
import yaml

from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.settings import as_struct
from lingbot_eval.settings.lingbot_va import LingBotSettings

__all__ = ["LingBotSettings", "benchmark_names", "from_upstream", "load_benchmark", "overridden", "proposed"]


def benchmark_names() -> list[str]:
    folder = resources.files("lingbot_eval") / "conf" / "agent" / "lingbot-va"
    return sorted(entry.name[: -len(".yaml")] for entry in folder.iterdir() if entry.name.endswith(".yaml"))


@functools.cache
def load_benchmark(name: str) -> LingBotSettings:
    """Return the settings shipped for a benchmark.

    Raises UnknownName.
    """
    if name not in benchmark_names():
        raise UnknownName("LingBot-VA benchmark", name, benchmark_names())
    text = (resources.files("lingbot_eval") / "conf" / "agent" / "lingbot-va" / f"{name}.yaml").read_text()
    settings: LingBotSettings = as_struct(yaml.safe_load(text), LingBotSettings)
    return settings


def overridden(settings: LingBotSettings, own: Mapping[str, Any]) -> tuple[LingBotSettings, list[str]]:
    """Return ``settings`` with the values that a checkpoint brings, and one line for each that was another one
    before."""
    merged = msgspec.to_builtins(settings) | own
    lines = [
        f"{name}: the checkpoint says {_short(value)}, the settings {_short(getattr(settings, name))}"
        for name, value in own.items()
        if not _same(msgspec.to_builtins(getattr(settings, name)), value)
    ]
    result: LingBotSettings = as_struct(merged, LingBotSettings)
    return result, lines


def proposed(settings: LingBotSettings, own: Mapping[str, Any], said: Collection[str]) -> LingBotSettings:
    """Return ``settings`` with the values that a checkpoint brings, but for those whose names somebody ``said``."""
    merged = msgspec.to_builtins(settings) | {name: value for name, value in own.items() if name not in said}
    result: LingBotSettings = as_struct(merged, LingBotSettings)
    return result


def _same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(mine) == len(theirs) and all(_same(a, b) for a, b in zip(mine, theirs, strict=True))
    if isinstance(mine, float) and isinstance(theirs, (int, float)):
        return math.isclose(mine, theirs, rel_tol=1e-6, abs_tol=1e-12)  # float32 in one file, decimal in the other
    return bool(mine == theirs)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_UPSTREAM = (
    *("env_type", "obs_cam_keys", "height", "width", "frame_chunk_size", "action_per_frame", "attn_window"),
    *("num_inference_steps", "action_num_inference_steps", "video_exec_step", "guidance_scale"),
    *("action_guidance_scale", "snr_shift", "action_snr_shift", "used_action_channel_ids", "norm_stat"),
)
"""``from_upstream`` reads these."""


def from_upstream(config: Mapping[str, Any], cameras: Mapping[str, str] | None = None) -> LingBotSettings:
    """Make settings of a configuration with upstream's names; ``cameras`` maps our names to its keys (default: the
    keys).

    Raises BadInput for what is missing, and for what upstream can say and this implementation does not do.
    """
    if missing := [name for name in _UPSTREAM if name not in config]:
        raise BadInput(f"the configuration lacks {', '.join(missing)}")
    quantiles = config["norm_stat"]
    if not isinstance(quantiles, Mapping) or not {"q01", "q99"} <= quantiles.keys():
        raise BadInput("the configuration's norm_stat must have q01 and q99")
    if config.get("action_norm_method", "quantiles") != "quantiles":
        raise BadInput(f"action_norm_method {config['action_norm_method']!r} (valid: quantiles)")
    layouts = {"none": "width", "robotwin_tshape": "tshape"}
    if config["env_type"] not in layouts:
        raise UnknownName("env_type", config["env_type"], layouts)
    exec_step = config["video_exec_step"]
    keys = config["obs_cam_keys"]
    settings: LingBotSettings = as_struct(
        {
            "layout": layouts[config["env_type"]],
            "cameras": cameras or {key: key for key in keys},
            "height": config["height"],
            "width": config["width"],
            "frames": config["frame_chunk_size"],
            "commands_per_frame": config["action_per_frame"],
            "window": config["attn_window"],
            "video_steps": config["num_inference_steps"],
            "action_steps": config["action_num_inference_steps"],
            "video_exec_step": None if exec_step == -1 else exec_step,
            "video_guidance": config["guidance_scale"],
            "action_guidance": config["action_guidance_scale"],
            "video_shift": config["snr_shift"],
            "action_shift": config["action_snr_shift"],
            "channels": config["used_action_channel_ids"],
            "q01": quantiles["q01"],
            "q99": quantiles["q99"],
        },
        LingBotSettings,
    )
    return settings
