"""What the recipes of training say, written down from the original's source, not from our YAML.

Robbyant/lingbot-va @ 7c6ffa9; a number behind a value is its line. Where a table names no file, it is the one in its
first comment. tabletop's recipe is ours.
"""

from __future__ import annotations

from typing import Any

LORA = {"rank": 0, "alpha": 16, "modules": ["to_q", "to_k", "to_v", "to_out.0"], "merged": True}  # ours

# wan_va/train.py, and wan_va/configs/va_robotwin_cfg.py:30, 31 for the shifts
NOISING: dict[str, Any] = {
    "video_shift": 5.0,
    "action_shift": 1.0,
    "levels": "per-batch",
    "weight_floor": 0.0,
    "history_share": 0.5,
    "history_from": 0.5,
    "longest": None,
    "chunk": [1, 4],
    "window": [4, 64],
    "forward_dynamics_share": 0.0,  # ours
    "copies": 1,
    "first_frame": "denoised",
    "first_actions": "raw-zeros",
    "video_weight": 1.0,
    "action_weight": 1.0,
}

ADAMW: dict[str, Any] = {
    "rate": 1e-5,  # wan_va/configs/va_robotwin_train_cfg.py and va_libero_train_cfg.py: learning_rate
    "beta1": 0.9,
    "beta2": 0.95,
    "eps": 1e-8,  # wan_va/train.py:107-115
    "weight_decay": 0.1,
    "decays": "all",  # wan_va/train.py:107-115, one group
    "clip": 2.0,  # wan_va/train.py:319
    "warm_up": 10,
    "schedule": "constant",  # wan_va/utils/utils.py:91
    "floor": 0.0,
    "average": None,
}


def original(name: str, steps: int, accumulation: int, saved: int, action_shift: float) -> dict[str, Any]:
    """One of the original's recipes, on the 8 GPUs of script/run_va_posttrain.sh (NGPU)."""
    return {
        "robot": name,
        "seed": 42,  # wan_va/train.py:128
        "steps": steps,  # num_steps
        "batch": 1,
        "micro_batches": 8 * accumulation,
        "balance": 0.0,
        "text_dropout": 0.1,  # cfg_prob
        "wordings": "own",
        "noising": {**NOISING, "action_shift": action_shift},
        "optimizer": ADAMW,
        "precision": "bf16",  # wan_va/distributed/fsdp.py:18-26
        "attention": "flex",  # wan_va/train.py:88
        "compile": False,
        "recompute": True,  # wan_va/distributed/fsdp.py:11-15
        "lora": LORA,
        "held_out": {"share": 0.0, "every": saved, "most": 64},
        "play": {"every": 0, "suite": name, "choices": {}, "settings": {}, "film": True},
        "save_every": saved,  # save_interval
        "dtype": "bfloat16",
        "lerobot": False,
    }


TABLETOP: dict[str, Any] = {
    "robot": "tabletop",
    "seed": 0,
    "steps": 12_000,
    "batch": 32,
    "micro_batches": 1,
    "balance": 0.7,
    "text_dropout": 0.2,
    "wordings": "any",
    "noising": {
        **NOISING,
        **{
            "levels": "per-sample",
            "weight_floor": 0.5,
            "history_share": 0.3,
            "chunk": [1, 1],
            "window": None,
            "longest": 3,
        },
        **{"copies": 3, "first_frame": "given", "first_actions": "zeros"},
    },
    "optimizer": {
        **ADAMW,
        **{"rate": 1.5e-3, "weight_decay": 0.02, "decays": "matrices", "clip": 1.0, "warm_up": 60},
        **{"schedule": "cosine", "floor": 0.02, "average": 0.995},
    },
    "precision": "float32",
    "attention": "dense",
    "compile": False,
    "recompute": False,
    "lora": LORA,
    "held_out": {"share": 0.04, "every": 500, "most": 64},
    "play": {"every": 0, "suite": "tabletop", "choices": {}, "settings": {}, "film": True},
    "save_every": 250,
    "dtype": "float32",
    "lerobot": False,
}

TRAINING: dict[str, Any] = {
    "defaults": [{"train@_global_": "???"}, "_self_"],
    "data": None,
    "checkpoint": None,
    "out": None,
    "device": "auto",
    "tracker": "none",
}

TABLES = {
    "training.yaml": TRAINING,
    "train/robotwin.yaml": original("robotwin", 50_000, 1, 1000, 1.0),
    "train/libero.yaml": original("libero", 5000, 10, 200, 0.05),  # va_libero_cfg.py: action_snr_shift 0.05
    "train/tabletop.yaml": TABLETOP,
}
