"""Things in a scene are made of boxes and cylinders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sapien
from sapien.physx import PhysxMaterial

from lingbot_eval.envs.robotwin.ik import Array, Vector
from lingbot_eval.envs.tabletop.appearance import Colour

FRICTION = 0.8
DENSITY = 400.0  # kg/m³, of wood


@dataclass(frozen=True)
class Part:
    """It is one box or upright cylinder of a body, in the body's frame; metres."""

    half: Vector
    """Half of a box's edges (3,), or a cylinder's radius and half of its length (2,)."""
    colour: Colour
    position: Vector = (0.0, 0.0, 0.0)
    solid: bool = True
    """A part that is not solid is only painted."""

    def build(self, builder: Any, painted: bool) -> None:
        """Add it to a SAPIEN builder."""
        pose = sapien.Pose(self.position)
        size: dict[str, Any]
        if len(self.half) == 3:
            shape, size = "box", {"half_size": self.half}
        else:
            shape, size = "cylinder", {"radius": self.half[0], "half_length": self.half[1]}
            pose = pose * sapien.Pose(q=[np.sqrt(0.5), 0, -np.sqrt(0.5), 0])  # SAPIEN's cylinders lie along x
        if self.solid:
            material = PhysxMaterial(FRICTION, FRICTION, 0.0)
            getattr(builder, f"add_{shape}_collision")(pose, material=material, density=DENSITY, **size)
        if painted:
            material = sapien.render.RenderMaterial(base_color=[*self.colour, 1], roughness=0.6)
            getattr(builder, f"add_{shape}_visual")(pose, material=material, **size)

    @property
    def reach(self) -> Array:
        """Return how far it extends from the body's origin along each axis, (3,)."""
        radius, length = self.half[0], self.half[-1]
        return np.abs(self.position) + (self.half if len(self.half) == 3 else (radius, radius, length))


@dataclass(frozen=True)
class Body:
    """It is a thing in a scene."""

    entity: Any = field(repr=False)
    parts: Sequence[Part]

    @property
    def name(self) -> str:
        return str(self.entity.name)

    @property
    def position(self) -> Array:
        """Return where its frame's origin is, (3,), world frame."""
        return np.asarray(self.entity.pose.p, np.float64)

    @property
    def rotation(self) -> Array:
        """Return its axes as columns, (3, 3), world frame."""
        return np.asarray(self.entity.pose.to_transformation_matrix()[:3, :3], np.float64)

    @property
    def yaw(self) -> float:
        """Return its turn about the vertical, radians."""
        return float(np.arctan2(self.rotation[1, 0], self.rotation[0, 0]))

    @property
    def tilt(self) -> float:
        """Return the angle of its z axis to the vertical, radians."""
        return float(np.arccos(np.clip(self.rotation[2, 2], -1, 1)))

    @property
    def radius(self) -> float:
        """Return the radius in metres of an upright cylinder around its origin that holds it."""
        return float(np.max([np.hypot(*part.reach[:2]) for part in self.parts]))
