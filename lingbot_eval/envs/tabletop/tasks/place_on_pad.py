from __future__ import annotations

from typing import Any

import numpy as np

from lingbot_eval.envs.tabletop.appearance import COLOURS, two_colours
from lingbot_eval.envs.tabletop.bodies import Part
from lingbot_eval.envs.tabletop.task import TabletopTask
from lingbot_eval.envs.tabletop.tasks.places import any_side, any_yaw, square_grasp, two_places_on, up

HALF, PAD = 0.025, (0.06, 0.06, 0.002)


class PlaceOnPad(TabletopTask):
    """Put a block onto a pad on the same side of the table, wholly, and let go."""

    name = "place_on_pad"

    def load_actors(self) -> None:
        self.side = any_side(self.generator)
        self.colour, self.pad_colour = two_colours(self.generator)
        start, goal = two_places_on(self.side, self.generator, metres=0.15)
        self.moved = self.put_block("block", self.colour, start, HALF, any_yaw(self.generator))
        self.pad = self.put("pad", [Part(PAD, COLOURS[self.pad_colour])], goal, up=PAD[2], still=True)

    def play_once(self) -> dict[str, Any]:
        self.expert.pick(self.side, self.moved.position, square_grasp(self.moved))
        self.expert.place(self.side, self.pad.position + up(PAD[2] + HALF), 0.0)
        self.expert.go_home(self.side)
        return self.words(A=f"{self.colour} block", B=f"{self.pad_colour} pad", a=self.side)

    def milestones(self) -> tuple[bool, ...]:
        return self.above_table(self.moved) > HALF + 0.02, self._over_pad()

    def check_success(self) -> bool:
        lies = self.above_table(self.moved) < 2 * PAD[2] + HALF + 0.01
        return self._over_pad() and lies and self.open("left", "right")

    def _over_pad(self) -> bool:
        return bool(np.linalg.norm((self.moved.position - self.pad.position)[:2]) < PAD[0] - HALF)
