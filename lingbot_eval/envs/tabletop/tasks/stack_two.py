from __future__ import annotations

from typing import Any

import numpy as np

from lingbot_eval.envs.tabletop.appearance import two_colours
from lingbot_eval.envs.tabletop.task import TabletopTask
from lingbot_eval.envs.tabletop.tasks.places import any_side, any_yaw, square_grasp, two_places_on, up

HALF = 0.025


class StackTwo(TabletopTask):
    """Put one block on top of another, and let go."""

    name = "stack_two"

    def load_actors(self) -> None:
        self.side = any_side(self.generator)
        self.upper_colour, self.lower_colour = two_colours(self.generator)
        upper, lower = two_places_on(self.side, self.generator, metres=0.14)
        self.upper = self.put_block("upper block", self.upper_colour, upper, HALF, any_yaw(self.generator))
        self.lower = self.put_block("lower block", self.lower_colour, lower, HALF, any_yaw(self.generator))

    def play_once(self) -> dict[str, Any]:
        self.expert.pick(self.side, self.upper.position, square_grasp(self.upper))
        self.expert.place(self.side, self.lower.position + up(2 * HALF), square_grasp(self.lower))
        self.expert.go_home(self.side)
        return self.words(A=f"{self.upper_colour} block", B=f"{self.lower_colour} block", a=self.side)

    def milestones(self) -> tuple[bool, ...]:
        return self.above_table(self.upper) > HALF + 0.02, self._above_lower()

    def check_success(self) -> bool:
        rests = abs((self.upper.position - self.lower.position)[2] - 2 * HALF) < 0.008
        return self._above_lower() and rests and self.lower.tilt < 0.1 and self.open("left", "right")

    def _above_lower(self) -> bool:
        away = self.upper.position - self.lower.position
        return bool(np.linalg.norm(away[:2]) < HALF and away[2] > HALF)
