"""What the robots of ``conf/robot`` say, written down from the original's dataset class, not from our YAML.

Robbyant/lingbot-va @ 7c6ffa9, wan_va/dataset/lerobot_latent_dataset.py; tabletop's numbers are ours.
"""

from __future__ import annotations

from typing import Any

ARMS = [  # _action_post_process: get_relative_pose of columns 0-6 and 8-14, the grippers 7 and 15 kept
    {"position": [0, 1, 2], "rotation": [3, 4, 5, 6], "quaternion": "wxyz", "origin": "command"},
    {"position": [8, 9, 10], "rotation": [11, 12, 13, 14], "quaternion": "wxyz", "origin": "command"},
]


def robot(name: str, preset: str, **more: Any) -> dict[str, Any]:
    same = {"settings": {}, "columns": [], "relative": [], "fps": None, "tail": "cut"}
    return {"name": name, "preset": preset, **same, **more}


NONE = [0.0] * 14
SMALL: dict[str, Any] = {
    "height": 64,
    "width": 96,
    "frames": 1,
    "commands_per_frame": 4,
    "window": 64,
    "video_steps": 3,
    "action_steps": 10,
    "video_guidance": 1.0,
    "q01": [
        *(0.0, -0.03921, -0.10873, -0.70568, -0.11203, -0.06821, 0.70568),
        *(-0.26477, -0.03819, -0.10873, -0.70568, -0.11246, -0.06821, 0.70568),
        *(*NONE, 0.0, 0.0),
    ],
    "q99": [
        *(0.26533, 0.28138, 0.09127, 0.32815, 0.08797, 0.13179, 1.0),
        *(0.0, 0.28171, 0.09127, 0.31462, 0.08754, 0.13179, 1.0),
        *(*NONE, 1.0, 1.0),
    ],
}

TABLES = {
    "robot/robotwin.yaml": robot("robotwin", "robotwin", relative=ARMS),
    "robot/libero.yaml": robot("libero", "libero"),
    "robot/demo.yaml": robot("demo", "demo"),
    "robot/tabletop.yaml": robot(
        "tabletop", "robotwin", relative=[{**arm, "origin": "state"} for arm in ARMS], settings=SMALL, tail="hold"
    ),
}
