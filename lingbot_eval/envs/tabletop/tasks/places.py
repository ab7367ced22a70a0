"""Tasks share where things are put and how they are taken."""

from __future__ import annotations

import numpy as np

from lingbot_eval.envs.robotwin.ik import Array
from lingbot_eval.envs.tabletop.bodies import Body
from lingbot_eval.envs.tabletop.expert import SIDES, Side

OUTWARDS = {"left": -1.0, "right": 1.0}
"""The sign of x on an arm's side of the table."""


def any_side(generator: np.random.Generator) -> Side:
    return SIDES[generator.integers(2)]


def side_of(body: Body) -> Side:
    return "left" if body.position[0] < 0 else "right"


def place_on(side: Side, generator: np.random.Generator) -> Array:
    """Draw a place (2,), metres, well within the reach of that side's arm."""
    x, y = generator.uniform((0.08, -0.14), (0.30, 0.08))
    return np.array([OUTWARDS[side] * x, y])


def two_places_on(side: Side, generator: np.random.Generator, metres: float) -> tuple[Array, Array]:
    """Draw two such places, at least ``metres`` apart."""
    while True:
        one, two = place_on(side, generator), place_on(side, generator)
        if np.linalg.norm(one - two) >= metres:
            return one, two


def any_yaw(generator: np.random.Generator) -> float:
    """Draw an angle in radians, of almost every way in which a square thing can lie."""
    return float(generator.uniform(-0.7, 0.7))


def square_grasp(body: Body) -> float:
    """Return the yaw of a hand that takes a square ``body`` by two faces, within an eighth of a turn."""
    return float((body.yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4)


def up(metres: float) -> Array:
    return np.array([0.0, 0.0, metres])
