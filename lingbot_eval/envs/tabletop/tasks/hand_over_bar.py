from __future__ import annotations

from typing import Any

import numpy as np

from lingbot_eval.envs.tabletop.appearance import COLOURS, two_colours
from lingbot_eval.envs.tabletop.bodies import Part
from lingbot_eval.envs.tabletop.expert import other
from lingbot_eval.envs.tabletop.task import TabletopTask
from lingbot_eval.envs.tabletop.tasks.places import OUTWARDS, any_side, up

HALF, PAD = (0.12, 0.018, 0.018), (0.15, 0.045, 0.002)
GRASP = 0.075
"""Metres from the middle of the bar to where a hand holds it."""

MEETING_Y, MEETING_HEIGHT = -0.10, 0.20
"""Where the middle of the bar is while it changes hands; the height is above the table."""


class HandOverBar(TabletopTask):
    """Take a bar with one hand, give it to the other, and put it onto the pad on that side."""

    name = "hand_over_bar"

    def load_actors(self) -> None:
        self.giver = any_side(self.generator)
        self.taker = other(self.giver)
        self.colour, self.pad_colour = two_colours(self.generator)
        (x, y), (pad_x, pad_y) = self.generator.uniform((0.24, -0.10), (0.28, 0.04), (2, 2))
        yaw = self.generator.uniform(-0.25, 0.25)
        bar, pad = Part(HALF, COLOURS[self.colour]), Part(PAD, COLOURS[self.pad_colour])
        self.bar = self.put("bar", [bar], (OUTWARDS[self.giver] * x, y), yaw, up=HALF[2])
        self.pad = self.put("pad", [pad], (OUTWARDS[self.taker] * pad_x, pad_y), up=PAD[2], still=True)

    def play_once(self) -> dict[str, Any]:
        giver, taker, across = self.giver, self.taker, np.pi / 2
        ends = {side: np.array([OUTWARDS[side] * GRASP, 0.0, 0.0]) for side in (giver, taker)}
        held = self.bar.position + self.bar.rotation @ ends[giver]
        self.expert.pick(giver, held, self.bar.yaw + across, height=MEETING_HEIGHT)
        meeting = np.array([0.0, MEETING_Y, self.scene.table + MEETING_HEIGHT])
        self.expert.reach(giver, meeting + ends[giver], across)
        self.expert.reach(taker, meeting + ends[taker] + up(0.1), across)
        self.expert.reach(taker, meeting + ends[taker], across)
        self.expert.close(taker)
        self.expert.open(giver)
        self.expert.go_home(giver)
        self.expert.place(taker, self.pad.position + ends[taker] + up(PAD[2] + HALF[2]), across)
        self.expert.go_home(taker)
        return self.words(A=f"{self.colour} bar", B=f"{self.pad_colour} pad", a=giver, b=taker)

    def milestones(self) -> tuple[bool, ...]:
        lifted = self.above_table(self.bar) > HALF[2] + 0.03
        given = lifted and self.open(self.giver) and not self.open(self.taker)
        return lifted, given, self._over_pad()

    def check_success(self) -> bool:
        lies = self.above_table(self.bar) < 2 * PAD[2] + HALF[2] + 0.01
        return self._over_pad() and lies and self.open("left", "right")

    def _over_pad(self) -> bool:
        x, y, _ = np.abs(self.bar.position - self.pad.position)
        return bool(x < 0.05 and y < 0.03)
