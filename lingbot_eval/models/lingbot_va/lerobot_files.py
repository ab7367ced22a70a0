"""The small files of a checkpoint in LeRobot's layout, with the names and values of LeRobot 0.6.2's ``save_pretrained``
for its policy ``lingbot_va``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from lingbot_eval.models.lingbot_va.checkpoint import LEROBOT
from lingbot_eval.settings.lingbot_va import LingBotSettings

PRE, POST = "policy_preprocessor.json", "policy_postprocessor.json"
PRE_STATE = "policy_preprocessor_step_2_normalizer_processor.safetensors"
POST_STATE = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"

SHAPE = (
    *("patch_size", "num_attention_heads", "attention_head_dim", "in_channels", "out_channels", "action_dim"),
    *("text_dim", "freq_dim", "ffn_dim", "num_layers", "cross_attn_norm", "eps"),
)
"""Keys of the transformer's configuration that LeRobot's has, too."""

IDENTITY = {"VISUAL": "IDENTITY", "STATE": "IDENTITY", "ACTION": "IDENTITY"}
"""LeRobot's processors normalise nothing on the way in: the policy does it itself."""

LAYOUTS = {"width": "width_concat", "tshape": "robotwin_tshape"}

DEFAULTS: dict[str, Any] = {
    "type": "lingbot_va",
    "n_obs_steps": 1,
    "device": "cpu",
    "use_amp": False,
    "use_peft": False,
    "push_to_hub": False,
    "repo_id": None,
    "private": None,
    "tags": None,
    "license": None,
    "pretrained_path": None,
    "pretrained_revision": None,
    "rope_max_seq_len": 1024,
    "attn_mode": "torch",
    "text_encoder_device": "cpu",
    "image_hflip": False,
    "max_sequence_length": 512,
    "save_predicted_video": False,
    "normalization_mapping": IDENTITY,
    "optimizer_lr": 1e-05,
    "optimizer_betas": [0.9, 0.95],
    "optimizer_eps": 1e-08,
    "optimizer_weight_decay": 0.0001,
    "optimizer_grad_clip_norm": 1.0,
    "scheduler_warmup_steps": 1000,
}
"""LeRobot's own values of what no checkpoint says; device is the one that plays anywhere, and nothing is uploaded."""


def documents(
    transformer: Mapping[str, Any], settings: LingBotSettings, dtype: torch.dtype, parts: str
) -> dict[str, dict[str, Any]]:
    """Return the JSON files by name. ``transformer``: its configuration; ``parts``: ``wan_pretrained_path``."""
    features = _features(settings)
    said: dict[str, Any] = {
        **DEFAULTS,
        **{name: transformer[name] for name in SHAPE if name in transformer},
        **{theirs: getattr(settings, ours) for ours, theirs in LEROBOT.items()},
        "input_features": {name: it for name, it in features.items() if name != "action"},
        "output_features": {"action": features["action"]},
        "wan_pretrained_path": parts,
        "dtype": str(dtype).removeprefix("torch."),
        "obs_cam_keys": list(settings.cameras.values()),
        "camera_layout": LAYOUTS[settings.layout],
        "video_exec_step": -1 if settings.video_exec_step is None else settings.video_exec_step,
    }
    return {"config.json": said, PRE: _preprocessor(features), POST: _postprocessor(features)}


def quantiles(settings: LingBotSettings) -> dict[str, list[float]]:
    """Return q01 and q99 of the used channels, in the order of the command's columns."""
    return {name: [getattr(settings, name)[channel] for channel in settings.channels] for name in ("q01", "q99")}


def _features(settings: LingBotSettings) -> dict[str, dict[str, Any]]:
    picture = {"type": "VISUAL", "shape": [3, settings.height, settings.width]}
    action = {"type": "ACTION", "shape": [len(settings.channels)]}
    return {**dict.fromkeys(settings.cameras.values(), picture), "action": action}


def _preprocessor(features: Mapping[str, Any]) -> dict[str, Any]:
    normalizer = {"eps": 1e-08, "features": features, "norm_map": IDENTITY}
    steps = [
        {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
        {"registry_name": "to_batch_processor", "config": {}},
        {"registry_name": "normalizer_processor", "config": normalizer, "state_file": PRE_STATE},
        _DEVICE,
    ]
    return {"name": "policy_preprocessor", "steps": steps}


def _postprocessor(features: Mapping[str, Any]) -> dict[str, Any]:
    config = {"eps": 1e-08, "features": {"action": features["action"]}, "norm_map": {"ACTION": "QUANTILES"}}
    step = {"registry_name": "unnormalizer_processor", "config": config, "state_file": POST_STATE}
    return {"name": "policy_postprocessor", "steps": [step, _DEVICE]}


_DEVICE = {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": None}}
