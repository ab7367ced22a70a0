"""``easy`` and ``hard`` differ before any object is put down: in lights, colours, table height and clutter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lingbot_eval.envs.robotwin.ik import Vector

Colour = Vector
"""Red, green and blue are in 0 .. 1; a light may be brighter."""

COLOURS = {
    "red": (0.80, 0.10, 0.09),
    "green": (0.10, 0.60, 0.16),
    "blue": (0.08, 0.22, 0.78),
    "yellow": (0.92, 0.75, 0.08),
    "purple": (0.45, 0.15, 0.62),
}
"""These are the colours that instructions name."""


@dataclass(frozen=True)
class Appearance:
    """A scene looks like this in ``easy``, which has the defaults."""

    table_shift: float = 0.0
    """Metres that the table top is above its usual height."""
    table: Colour = (0.62, 0.47, 0.33)
    wall: Colour = (0.80, 0.81, 0.79)
    ambient: Colour = (0.45, 0.45, 0.45)
    sun: Colour = (1.6, 1.55, 1.45)
    sun_direction: Vector = (0.25, 0.2, -1.0)
    clutter: int = 0
    """How many things are on the table that have nothing to do with the task."""


def hard_appearance(generator: np.random.Generator) -> Appearance:
    """Draw how a scene looks in ``hard``."""
    return Appearance(
        table_shift=generator.uniform(-0.03, 0.0),  # RoboTwin's random_table_height
        table=dull(generator),
        wall=generator.uniform(0.2, 0.9, 3),
        ambient=generator.uniform(0.25, 0.55, 3),
        sun=generator.uniform(0.8, 2.0) * generator.uniform(0.8, 1.0, 3),
        sun_direction=(generator.uniform(-0.8, 0.8), generator.uniform(0.0, 0.8), -1.0),
        clutter=int(generator.integers(4, 9)),
    )


def dull(generator: np.random.Generator) -> Colour:
    """Draw a greyish colour, which no instruction can mean."""
    return np.clip(generator.uniform(0.15, 0.75) + generator.uniform(-0.08, 0.08, 3), 0.0, 1.0)


def any_colour(generator: np.random.Generator) -> str:
    """Draw a name in COLOURS."""
    return str(generator.choice(list(COLOURS)))


def two_colours(generator: np.random.Generator) -> tuple[str, str]:
    """Draw two names in COLOURS that are not the same."""
    one, two = generator.choice(list(COLOURS), 2, replace=False)
    return str(one), str(two)
