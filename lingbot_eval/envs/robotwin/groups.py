"""LingBot-VA's RoboTwin numbers were made in these groups of eight."""

from __future__ import annotations

GROUPS: tuple[tuple[str, ...], ...] = (
    (
        *("stack_bowls_three", "handover_block", "hanging_mug", "scan_object"),
        *("lift_pot", "put_object_cabinet", "stack_blocks_three", "place_shoe"),
    ),
    (
        *("adjust_bottle", "place_mouse_pad", "dump_bin_bigbin", "move_pillbottle_pad"),
        *("pick_dual_bottles", "shake_bottle", "place_fan", "turn_switch"),
    ),
    (
        *("shake_bottle_horizontally", "place_container_plate", "rotate_qrcode", "place_object_stand"),
        *("put_bottles_dustbin", "move_stapler_pad", "place_burger_fries", "place_bread_basket"),
    ),
    (
        *("pick_diverse_bottles", "open_microwave", "beat_block_hammer", "press_stapler"),
        *("click_bell", "move_playingcard_away", "open_laptop", "move_can_pot"),
    ),
    (
        *("stack_bowls_two", "place_a2b_right", "stamp_seal", "place_object_basket"),
        *("handover_mic", "place_bread_skillet", "stack_blocks_two", "place_cans_plasticbox"),
    ),
    (
        *("click_alarmclock", "blocks_ranking_size", "place_phone_stand", "place_can_basket"),
        *("place_object_scale", "place_a2b_left", "grab_roller", "place_dual_shoes"),
    ),
    ("place_empty_cup", "blocks_ranking_rgb"),
)
"""Robbyant/lingbot-va @ 6f092cb, evaluation/robotwin/launch_client_multigpus.sh: one task per GPU. Its last group names
its two tasks four times each, so that four processes play the same seeds and overwrite each other's result. Here each
stands once, and the queue (``runs/coordinator.py``) hands the episodes of both to however many workers there are."""
