from __future__ import annotations

from typing import Any

import numpy as np

from lingbot_eval.envs.tabletop.appearance import COLOURS, any_colour
from lingbot_eval.envs.tabletop.bodies import Part
from lingbot_eval.envs.tabletop.task import TabletopTask
from lingbot_eval.envs.tabletop.tasks.places import up

FLOOR, RIM, HANDLE = (0.14, 0.08, 0.006), (0.14, 0.005, 0.012), (0.009, 0.04, 0.03)
WOOD, STEEL = (0.75, 0.72, 0.66), (0.25, 0.27, 0.30)
CARGO = 0.02
"""Half of the edge of the block that rides along."""

GRASP = 0.048
"""Metres above the middle of the floor where the handles are held."""

HEIGHT, LEVEL = 0.08, 0.17
"""Metres the tray has to rise, radians it may tilt."""


class LiftTray(TabletopTask):
    """Lift a tray by its two handles, with both arms, so that the block on it stays there."""

    name = "lift_tray"

    def load_actors(self) -> None:
        self.colour = any_colour(self.generator)
        xy, yaw = self.generator.uniform((-0.06, -0.14), (0.06, 0.0)), self.generator.uniform(-0.2, 0.2)
        parts = [Part(FLOOR, WOOD)]
        for sign in (-1, 1):
            parts.append(Part(RIM, WOOD, (0, sign * FLOOR[1], RIM[2] - FLOOR[2])))
            parts.append(Part(HANDLE, STEEL, (sign * (FLOOR[0] - HANDLE[0]), 0, FLOOR[2] + HANDLE[2])))
        self.tray = self.put("tray", parts, xy, yaw, up=FLOOR[2])
        cube, spot = Part((CARGO,) * 3, COLOURS[self.colour]), xy + self.generator.uniform(-0.04, 0.04, 2)
        self.cargo = self.put("block", [cube], spot, up=2 * FLOOR[2] + CARGO)

    def play_once(self) -> dict[str, Any]:
        reach = self.tray.rotation @ np.array([FLOOR[0] - HANDLE[0], 0.0, 0.0])
        middle, yaw = self.tray.position + up(GRASP), self.tray.yaw
        for height in (0.12, 0.0):
            self.expert.reach_both(middle - reach + up(height), middle + reach + up(height), yaw)
        self.expert.close("left", "right")
        lifted = up(HEIGHT + 0.03)
        self.expert.reach_both(middle - reach + lifted, middle + reach + lifted, yaw)
        return self.words(A="tray", B=f"{self.colour} block")

    def milestones(self) -> tuple[bool, ...]:
        ends = [self.above_table(self.tray) + sign * FLOOR[0] * self.tray.rotation[2, 0] for sign in (-1, 1)]
        return max(ends) > 0.03, min(ends) > 0.03

    def check_success(self) -> bool:
        carried = self.cargo.position - self.tray.position
        kept = bool(np.linalg.norm(carried[:2]) < FLOOR[0] and 0 < carried[2] < 0.06)
        return self.above_table(self.tray) > FLOOR[2] + HEIGHT and self.tray.tilt < LEVEL and kept
