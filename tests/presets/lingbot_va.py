"""What LingBot-VA's settings say, written down from the original's configurations, not from our YAML.

Robbyant/lingbot-va, wan_va/configs/va_<name>_cfg.py; a number behind a value is its line there. robotwin and franka
were read at 6f092cb. libero and demo came later (7c6ffa9) and were read in public copies of the repository, whose text
they have unchanged; huggingface/lerobot @ 7427f31, src/lerobot/policies/lingbot_va/configuration_lingbot_va.py, says
that its defaults are libero's, and they are these.
"""

from __future__ import annotations

from typing import Any

# va_robotwin_cfg.py
ROBOTWIN: dict[str, Any] = {
    "layout": "tshape",  # 13: robotwin_tshape
    "cameras": {  # 19-22, in this order: wan_va/wan_va_server.py:327-330, the first is the large one
        "head": "observation.images.cam_high",
        "left_wrist": "observation.images.cam_left_wrist",
        "right_wrist": "observation.images.cam_right_wrist",
    },
    "height": 256,  # 15
    "width": 320,  # 16
    "frames": 2,  # 12
    "commands_per_frame": 16,  # 18
    "window": 72,  # 11
    "video_steps": 25,  # 26
    "action_steps": 50,  # 28
    "video_exec_step": None,  # 27: -1
    "video_guidance": 5.0,  # 23
    "action_guidance": 1.0,  # 24
    "video_shift": 5.0,  # 30
    "action_shift": 1.0,  # 31
    "channels": [0, 1, 2, 3, 4, 5, 6, 28, 7, 8, 9, 10, 11, 12, 13, 29],  # 33, 34
    "q01": [  # 44-48
        *(-0.06172713458538055, -3.6716461181640625e-05, -0.08783501386642456, -1, -1, -1, -1),
        *(-0.3547105032205582, -1.3113021850585938e-06, -0.11975435614585876, -1, -1, -1, -1),
        *[0.0] * 16,
    ],
    "q99": [  # 49-53
        *(0.3462600058317184, 0.39966784834861746, 0.14745532035827624, 1, 1, 1, 1),
        *(0.034201726913452024, 0.39142737388610793, 0.1792279863357542, 1, 1, 1, 1),
        *[0.0] * 14,
        *[1.0, 1.0],
    ],
}

# va_libero_cfg.py
LIBERO: dict[str, Any] = {
    "layout": "width",  # 14: none
    "cameras": {  # 20-22, in this order
        "head": "observation.images.agentview_rgb",
        "wrist": "observation.images.eye_in_hand_rgb",
    },
    "height": 128,  # 16
    "width": 128,  # 17
    "frames": 4,  # 13
    "commands_per_frame": 4,  # 19
    "window": 30,  # 12
    "video_steps": 20,  # 26
    "action_steps": 50,  # 28
    "video_exec_step": None,  # 27: -1
    "video_guidance": 5.0,  # 23
    "action_guidance": 1.0,  # 24
    "video_shift": 5.0,  # 30
    "action_shift": 0.05,  # 31
    "channels": [0, 1, 2, 3, 4, 5, 6],  # 33
    "q01": [  # 42-50
        *(-0.6589285731315613, -0.84375, -0.9375),
        *(-0.12107142806053162, -0.15964286029338837, -0.26571428775787354),
        -1.0,
        *[0.0] * 23,
    ],
    "q99": [  # 51-59
        *(0.8999999761581421, 0.8544642925262451, 0.9375),
        *(0.17142857611179352, 0.1842857152223587, 0.34392857551574707),
        1.0,
        *[0.0] * 23,
    ],
}

# va_franka_cfg.py
FRANKA: dict[str, Any] = {
    "layout": "width",  # 15: none
    "cameras": {  # 21-24, in this order
        "head": "observation.images.cam_high",
        "left_wrist": "observation.images.cam_left_wrist",
        "right_wrist": "observation.images.cam_right_wrist",
    },
    "height": 224,  # 17
    "width": 320,  # 18
    "frames": 4,  # 14
    "commands_per_frame": 20,  # 20
    "window": 30,  # 13
    "video_steps": 5,  # 28
    "action_steps": 10,  # 30
    "video_exec_step": None,  # 29: -1
    "video_guidance": 5.0,  # 25
    "action_guidance": 1.0,  # 26
    "video_shift": 5.0,  # 32
    "action_shift": 1.0,  # 33
    "channels": [0, 1, 2, 3, 4, 5, 6, 28, 7, 8, 9, 10, 11, 12, 13, 29],  # 35, 36
    "q01": [  # 45-51
        *(0.3051295876502991, -0.22647984325885773, 0.19957000017166138),
        *(-0.022680532187223434, -0.05553057789802551, -0.2693849802017212, -0.29341773986816405),
        *(0.2935442328453064, -0.4431332051753998, 0.21256473660469055),
        *(-0.7962440848350525, -0.40816226601600647, -0.28359392285346985, -0.44507765769958496),
        *[0.0] * 16,
    ],
    "q99": [  # 52-58
        *(0.7572150230407715, 0.47736290097236633, 0.6428080797195435),
        *(0.9835678935050964, 0.9927203059196472, 0.28041139245033264, 0.47529348731040877),
        *(0.7564866304397571, 0.04082797020673729, 0.5355993628501885),
        *(0.9976375699043274, 0.8973174452781656, 0.6016915678977965, 0.5027598619461056),
        *[0.0] * 14,
        *[1.0, 1.0],
    ],
}

# va_demo_cfg.py
DEMO: dict[str, Any] = {
    "layout": "width",  # 15: none
    "cameras": {"head": "observation.images.top", "wrist": "observation.images.wrist"},  # 21-23, in this order
    "height": 256,  # 17
    "width": 256,  # 18
    "frames": 4,  # 14
    "commands_per_frame": 8,  # 20
    "window": 30,  # 13
    "video_steps": 5,  # 27
    "action_steps": 10,  # 29
    "video_exec_step": None,  # 28: -1
    "video_guidance": 5.0,  # 24
    "action_guidance": 1.0,  # 25
    "video_shift": 5.0,  # 31
    "action_shift": 1.0,  # 32
    "channels": [0, 1, 2, 3, 4, 28],  # 34
    "q01": [  # 43-49
        *(-90.60303497314453, -98.73043060302734, -79.9008560180664, 48.95470428466797, -32.794578552246094),
        *[0.0] * 23,
        *[0.8250824809074402, 0],
    ],
    "q99": [  # 50-56
        *(71.735107421875, 65.89081573486328, 92.87967681884766, 100.0, 22.784151077270508),
        *[0.0] * 23,
        *[100.0, 0],
    ],
}

# How it runs here. bfloat16: wan_va/configs/shared_config.py:10 @ 6f092cb. Where it looks is the
# client's: evaluation/robotwin/eval_polict_client_openpi.py:554, 584 (16 commands, a picture after every fourth), and
# likewise on LIBERO (4 commands, a picture after each). The rest is ours.
AGENT: dict[str, Any] = {
    "defaults": [{"lingbot-va@lingbot.settings": "libero"}, "_self_"],
    "name": "lingbot-va",
    "looks": True,
    "commands_per_action": 1,
    "checkpoint": "robbyant/lingbot-va-posttrain-libero-long",
    "sessions": 1,
    "lingbot": {
        "dtype": "bfloat16",
        "device": "auto",
        "text_device": None,
        "vae_device": None,
        "parts": None,
        "exact": False,
        "graphs": False,
    },
}

BIMANUAL: dict[str, Any] = {
    "defaults": ["lingbot-va", {"override lingbot-va@lingbot.settings": "robotwin"}, "_self_"],
    "commands_per_action": 4,
    "checkpoint": "robbyant/lingbot-va-posttrain-robotwin",
}

TABLETOP: dict[str, Any] = {
    "defaults": ["lingbot-va-bimanual", "_self_"],
    "checkpoint": "builtin:tabletop",
    "lingbot": {"dtype": "float32"},
}

TABLES = {
    "agent/lingbot-va/robotwin.yaml": ROBOTWIN,
    "agent/lingbot-va/libero.yaml": LIBERO,
    "agent/lingbot-va/franka.yaml": FRANKA,
    "agent/lingbot-va/demo.yaml": DEMO,
    "agent/lingbot-va.yaml": AGENT,
    "agent/lingbot-va-bimanual.yaml": BIMANUAL,
    "agent/lingbot-va-tabletop.yaml": TABLETOP,
}
