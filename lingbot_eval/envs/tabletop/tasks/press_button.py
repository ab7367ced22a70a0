from __future__ import annotations

from typing import Any

from lingbot_eval.envs.tabletop.appearance import COLOURS, any_colour
from lingbot_eval.envs.tabletop.bodies import Part
from lingbot_eval.envs.tabletop.task import TabletopTask
from lingbot_eval.envs.tabletop.tasks.places import any_side, place_on

BASE, CAP = (0.05, 0.012), (0.028, 0.014)
"""Metres, radius and half of the length: a cylinder that stands on the table, and the one that sticks out of it."""

SUNK, TRAVEL, SPRING = 0.004, 0.014, 400.0
"""Metres of the cap that are in the base at rest, metres it goes further in, and N/m."""

PRESSED = 0.8
"""The share of TRAVEL that counts as pressed."""


class PressButton(TabletopTask):
    """Press a button until it is PRESSED."""

    name = "press_button"

    def load_actors(self) -> None:
        self.side, self.colour = any_side(self.generator), any_colour(self.generator)
        self.at = place_on(self.side, self.generator)
        base = Part(BASE, (0.2, 0.2, 0.22), (0, 0, BASE[1]), solid=False)  # or the cap could not go in
        cap = Part(CAP, COLOURS[self.colour], (0, 0, 2 * BASE[1] - SUNK + CAP[1]))
        self.button = self.scene.add_slider("button", base, cap, self.at, TRAVEL, SPRING)
        self.keep_clear(self.at, BASE[0])

    def play_once(self) -> dict[str, Any]:
        top = self.scene.table + 2 * BASE[1] - SUNK + 2 * CAP[1]
        self.expert.over(self.side, self.at, 0.0)
        self.expert.close(self.side)
        self.expert.reach(self.side, [*self.at, top - TRAVEL], 0.0)
        return self.words(A=f"{self.colour} button", a=self.side)

    def milestones(self) -> tuple[bool, ...]:
        return (self._depth() > 0.2 * TRAVEL,)

    def check_success(self) -> bool:
        return self._depth() > PRESSED * TRAVEL

    def _depth(self) -> float:
        return float(self.button.qpos[0])
