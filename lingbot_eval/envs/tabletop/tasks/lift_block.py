from __future__ import annotations

from typing import Any

from lingbot_eval.envs.tabletop.appearance import any_colour
from lingbot_eval.envs.tabletop.task import TabletopTask
from lingbot_eval.envs.tabletop.tasks.places import any_side, any_yaw, place_on, square_grasp

HALF, HEIGHT = 0.025, 0.08


class LiftBlock(TabletopTask):
    """Lift a block HEIGHT metres off the table."""

    name = "lift_block"

    def load_actors(self) -> None:
        self.side, self.colour = any_side(self.generator), any_colour(self.generator)
        at, yaw = place_on(self.side, self.generator), any_yaw(self.generator)
        self.target = self.put_block("block", self.colour, at, HALF, yaw)

    def play_once(self) -> dict[str, Any]:
        self.expert.pick(self.side, self.target.position, square_grasp(self.target))
        return self.words(A=f"{self.colour} block", a=self.side)

    def milestones(self) -> tuple[bool, ...]:
        return (self.above_table(self.target) > HALF + 0.02,)

    def check_success(self) -> bool:
        return self.above_table(self.target) > HALF + HEIGHT
