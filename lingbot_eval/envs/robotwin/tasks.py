"""RoboTwin 2.0 has fifty tasks; what is published about each is here as data."""

from __future__ import annotations

from typing import NamedTuple


class Task(NamedTuple):
    """It is what is published about one task."""

    horizon: int
    """Class 1, 2 or 3, as LingBot-VA sorts its tables (evaluation/robotwin/calc_stat.py @ 7c6ffa9)."""
    command_limit: int
    """``_eval_step_limit.yml`` at RoboTwin-Platform/RoboTwin @ 2eeec322; a checkout's own file is what counts."""
    objects: tuple[str, ...]
    """Folders in ``assets/objects`` that its scene takes objects from; empty: primitives only."""


_PLACED = (
    *("047_mouse", "048_stapler", "050_bell", "057_toycar", "073_rubikscube", "075_bread", "077_phone"),
    *("081_playingcards", "086_woodenblock", "107_soap", "112_tea-box", "113_coffee-box"),
)

TASKS = {
    "adjust_bottle": Task(1, 400, ("001_bottle",)),
    "beat_block_hammer": Task(1, 400, ("020_hammer",)),
    "blocks_ranking_rgb": Task(3, 1200, ()),
    "blocks_ranking_size": Task(3, 1200, ()),
    "click_alarmclock": Task(1, 400, ("046_alarm-clock",)),
    "click_bell": Task(1, 400, ("050_bell",)),
    "dump_bin_bigbin": Task(1, 600, ("011_dustbin", "063_tabletrashbin")),
    "grab_roller": Task(1, 400, ("102_roller",)),
    "handover_block": Task(2, 800, ()),
    "handover_mic": Task(2, 600, ("018_microphone",)),
    "hanging_mug": Task(2, 900, ("039_mug", "040_rack")),
    "lift_pot": Task(1, 400, ("060_kitchenpot",)),
    "move_can_pot": Task(1, 400, ("060_kitchenpot", "105_sauce-can")),
    "move_pillbottle_pad": Task(1, 400, ("080_pillbottle",)),
    "move_playingcard_away": Task(1, 400, ("081_playingcards",)),
    "move_stapler_pad": Task(1, 400, ("048_stapler",)),
    "open_laptop": Task(1, 700, ("015_laptop",)),
    "open_microwave": Task(1, 1500, ("044_microwave",)),
    "pick_diverse_bottles": Task(2, 400, ("001_bottle",)),
    "pick_dual_bottles": Task(2, 400, ("001_bottle",)),
    "place_a2b_left": Task(1, 400, _PLACED),
    "place_a2b_right": Task(1, 400, _PLACED),
    "place_bread_basket": Task(1, 700, ("075_bread", "076_breadbasket")),
    "place_bread_skillet": Task(2, 500, ("075_bread", "106_skillet")),
    "place_burger_fries": Task(2, 500, ("005_french-fries", "006_hamburg", "008_tray")),
    "place_can_basket": Task(2, 700, ("071_can", "110_basket")),
    "place_cans_plasticbox": Task(2, 800, ("062_plasticbox", "071_can")),
    "place_container_plate": Task(1, 400, ("002_bowl", "003_plate", "021_cup")),
    "place_dual_shoes": Task(2, 600, ("007_shoe-box", "041_shoe")),
    "place_empty_cup": Task(1, 500, ("019_coaster", "021_cup")),
    "place_fan": Task(1, 400, ("099_fan",)),
    "place_mouse_pad": Task(1, 400, ("047_mouse",)),
    "place_object_basket": Task(2, 700, ("057_toycar", "081_playingcards", "110_basket")),
    "place_object_scale": Task(1, 400, ("047_mouse", "048_stapler", "050_bell", "072_electronicscale")),
    "place_object_stand": Task(
        1,
        400,
        (
            "047_mouse",
            "048_stapler",
            "050_bell",
            "057_toycar",
            "073_rubikscube",
            "074_displaystand",
            "079_remotecontrol",
        ),
    ),
    "place_phone_stand": Task(1, 400, ("077_phone", "078_phonestand")),
    "place_shoe": Task(1, 500, ("041_shoe",)),
    "press_stapler": Task(1, 400, ("048_stapler",)),
    "put_bottles_dustbin": Task(3, 1700, ("011_dustbin", "114_bottle")),
    "put_object_cabinet": Task(
        2,
        700,
        (
            "036_cabinet",
            "047_mouse",
            "048_stapler",
            "057_toycar",
            "073_rubikscube",
            "075_bread",
            "077_phone",
            "081_playingcards",
            "107_soap",
            "112_tea-box",
            "113_coffee-box",
        ),
    ),
    "rotate_qrcode": Task(1, 400, ("070_paymentsign",)),
    "scan_object": Task(2, 500, ("024_scanner", "112_tea-box")),
    "shake_bottle": Task(1, 700, ("001_bottle",)),
    "shake_bottle_horizontally": Task(1, 700, ("001_bottle",)),
    "stack_blocks_three": Task(3, 1200, ()),
    "stack_blocks_two": Task(2, 800, ()),
    "stack_bowls_three": Task(3, 1200, ("002_bowl",)),
    "stack_bowls_two": Task(2, 900, ("002_bowl",)),
    "stamp_seal": Task(1, 400, ("100_seal",)),
    "turn_switch": Task(1, 400, ("056_switch",)),
}

EXPERT_FIRST = ("open_laptop", "place_object_scale", "put_object_cabinet")
"""Tasks whose ``check_success`` reads attributes that only ``play_once`` sets (``arm_tag``, ``origin_z``): their expert
plays before each of their episodes, on the same instance. Found in the source at 2eeec322."""
