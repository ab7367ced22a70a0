from __future__ import annotations

from typing import Any

import numpy as np

from lingbot_eval.envs.tabletop.appearance import COLOURS, any_colour
from lingbot_eval.envs.tabletop.bodies import Part
from lingbot_eval.envs.tabletop.task import TabletopTask
from lingbot_eval.envs.tabletop.tasks.places import OUTWARDS, any_side

HALF = (0.07, 0.04, 0.03)
"""Half of the box's edges: it is too wide for the fingers, which open along x here."""

LINE = 0.04
"""y of the line, which lies across the table."""

HAND = 0.025
"""Metres above the table at which the closed fingers push."""


class PushToLine(TabletopTask):
    """Push a box away from the arms until it has crossed a line with its middle, standing."""

    name = "push_to_line"

    def load_actors(self) -> None:
        self.side, self.colour = any_side(self.generator), any_colour(self.generator)
        x, y = self.generator.uniform((0.14, -0.16), (0.28, -0.10))
        at, yaw = (OUTWARDS[self.side] * x, y), self.generator.uniform(-0.15, 0.15)
        self.box = self.put("box", [Part(HALF, COLOURS[self.colour])], at, yaw, up=HALF[2])
        self.keep_clear((at[0], LINE), HALF[0] + HALF[1])
        stripe = Part((0.55, 0.005, 0.0005), (0.95, 0.95, 0.95), solid=False)
        self.scene.add("line", [stripe], (0, LINE), up=0.0005, still=True)

    def play_once(self) -> dict[str, Any]:
        x, y, _ = self.box.position
        z = self.scene.table + HAND
        behind, across = [x, y - HALF[1] - 0.05, z], np.pi / 2  # the closed fingers' broad side, two of them, pushes
        self.expert.over(self.side, behind, across)
        self.expert.close(self.side)
        self.expert.reach(self.side, behind, across)
        self.expert.reach(self.side, [x, LINE - HALF[1] + 0.02, z], across)
        self.expert.go_home(self.side)
        return self.words(A=f"{self.colour} box", a=self.side)

    def milestones(self) -> tuple[bool, ...]:
        front = self.box.position[1] + HALF[1]
        return front > LINE - 0.05, front > LINE

    def check_success(self) -> bool:
        stands = self.above_table(self.box) < HALF[2] + 0.01 and self.box.tilt < 0.2
        return bool(self.box.position[1] > LINE) and stands
