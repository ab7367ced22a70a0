"""Read what the scripted LIBERO expert knows, the privileged simulator state; nothing here changes it.

Everything is in the world frame, metres and radians. Only *collision* geometry counts; robosuite puts it in
geom group 0 and the pictures in group 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

GRIP_SITE = "gripper0_grip_site"  # the point OSC_POSE moves; its x closes, its z points at the table
ROBOT_BODIES = ("robot0_", "gripper0_", "mount0_", "fixed_mount0_")
# Around the grip site, metres (panda_gripper.xml): below, above, along and across the closing direction.
TIP_BELOW, PALM_ABOVE = 0.009, 0.030
PALM_ALONG, PALM_ACROSS = 0.110, 0.040  # one centimetre more than the palm is
SLIDE = 2  # mujoco.mjtJoint.mjJNT_SLIDE


@dataclass(frozen=True)
class HeightMap:
    """Heights on a square grid: ``z`` (n, n) metres, ``own`` (n, n) whether the highest thing is the
    asked-for one, ``corner`` (2,) world xy of cell [0, 0], ``cell`` metres per cell."""

    z: Array
    own: npt.NDArray[np.bool_]
    corner: Array
    cell: float

    def at(self, xy: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Return height and ownership at world points ``xy`` (..., 2); points beyond the edge read the edge."""
        index = np.rint((xy - self.corner) / self.cell).astype(int)
        i, j = np.clip(np.moveaxis(index, -1, 0), 0, len(self.z) - 1)
        return self.z[i, j], self.own[i, j]


class Scene:
    """It reads one robosuite domain (BDDLBaseDomain). Make a new one after every reset: a hard reset replaces the
    simulator."""

    def __init__(self, domain: Any) -> None:
        self._domain = domain
        self._model = domain.sim.model._model
        self._data = domain.sim.data._data
        names = [self._model.body(b).name for b in range(self._model.nbody)]
        robot = {b for b, name in enumerate(names) if name.startswith(ROBOT_BODIES)}
        groups, bodies = self._model.geom_group, self._model.geom_bodyid
        self._solid = [g for g in range(self._model.ngeom) if groups[g] == 0 and bodies[g] not in robot]
        self._points: dict[int, Array] = {}

    @property
    def goals(self) -> list[tuple[str, ...]]:
        """Return the conjuncts of the task's goal, e.g. ("on", "plate_1", "flat_stove_1_cook_region")."""
        return [tuple(goal) for goal in self._domain.parsed_problem["goal_state"]]

    def holds(self, goal: tuple[str, ...]) -> bool:
        return bool(self._domain._eval_predicate(goal))

    @property
    def grip(self) -> Array:
        """Return where the grip site is, (3,)."""
        return np.array(self._data.site(GRIP_SITE).xpos)

    @property
    def hand(self) -> Array:
        """Return the hand's orientation, (3, 3): its columns are where it closes, a normal and where it points."""
        return np.array(self._data.site(GRIP_SITE).xmat).reshape(3, 3)

    @property
    def robot(self) -> Array:
        """Return where the robot stands, (2,)."""
        return np.array(self._data.body("robot0_base").xpos[:2])

    @property
    def opening(self) -> float:
        """Return the distance between the finger pads, metres (0 to 0.08)."""
        fingers = [self._data.joint(f"gripper0_finger_joint{k}").qpos[0] for k in (1, 2)]
        return float(fingers[0] - fingers[1])

    def is_site(self, name: str) -> bool:
        return name in self._domain.object_sites_dict

    def position(self, name: str) -> Array:
        """Return where a site's, an object's or a fixture's frame is, (3,): what LIBERO's predicates compare."""
        if self.is_site(name):
            return np.array(self._data.site(name).xpos)
        return np.array(self._data.xpos[self.body(name)])

    def site_box(self, name: str) -> tuple[Array, Array]:
        """Return a site's axes (3, 3), one per column, and its half sizes (3,)."""
        site = self._data.site(name)
        return np.array(site.xmat).reshape(3, 3), np.array(self._model.site(name).size)

    def body(self, name: str) -> int:
        return int(self._domain.obj_body_id[name])

    def joints(self, name: str) -> list[int]:
        """Return the ids of the joints that move a site or a fixture: a drawer's slide, a door's or a knob's hinge."""
        return [int(self._model.joint(joint).id) for joint in self._domain.get_object(name).joints or ()]

    def joint_body(self, joint: int) -> int:
        return int(self._model.jnt_bodyid[joint])

    def joint_line(self, joint: int) -> tuple[Array, Array]:
        """Return a point on a joint's axis (3,) and the axis (3,), unit."""
        return np.array(self._data.xanchor[joint]), np.array(self._data.xaxis[joint])

    def joint_kind(self, joint: int) -> str:
        """Return "slide" or "hinge"."""
        return "slide" if self._model.jnt_type[joint] == SLIDE else "hinge"

    def joint_range(self, joint: int) -> tuple[float, float]:
        """Return the ends of a joint's range, in radians or metres."""
        low, high = self._model.jnt_range[joint]
        return float(low), float(high)

    def joint_value(self, joint: int) -> float:
        """Return where a joint is, in radians or metres."""
        return float(self._data.qpos[self._model.jnt_qposadr[joint]])

    def boxes(self, root: int) -> list[int]:
        """Return the collision geoms of body ``root`` and of everything attached to it."""
        return [geom for geom in self._solid if self._under(self._model.geom_bodyid[geom], root)]

    def corners(self, geom: int) -> Array:
        """Return the corners of the box around one geom, (8, 3); all of LIBERO's but a few capsules are boxes."""
        centre, half, rotation = self._box(geom)
        signs = np.stack(np.meshgrid(*[(-1.0, 1.0)] * 3), axis=-1).reshape(-1, 3)
        return np.asarray(centre + (signs * half) @ rotation.T)

    def cloud(self, root: int) -> Array:
        """Return the corners of the collision geometry of body ``root`` and everything attached to it, (n, 3)."""
        rotation, origin = np.array(self._data.xmat[root]).reshape(3, 3), np.array(self._data.xpos[root])
        if root not in self._points:
            corners = np.concatenate([self.corners(g) for g in self.boxes(root)])
            self._points[root] = (corners - origin) @ rotation
        return np.asarray(self._points[root] @ rotation.T + origin)

    def centre(self, name: str) -> Array:
        """Return the middle of the box around an object, (3,)."""
        cloud = self.cloud(self.body(name))
        return np.asarray((cloud.min(axis=0) + cloud.max(axis=0)) / 2)

    def bottom(self, name: str) -> float:
        """Return the height of the lowest corner of an object, metres."""
        return float(self.cloud(self.body(name))[:, 2].min())

    def top(self, name: str) -> float:
        """Return the height of the highest corner of an object, metres."""
        return float(self.cloud(self.body(name))[:, 2].max())

    def heights(self, xy: Array, ignore: int | None = None) -> Array:
        """Return the height (n,) of the highest thing at each of ``xy`` (n, 2), except the robot and body
        ``ignore``."""
        ignored = set() if ignore is None else set(self.boxes(ignore))
        return self._tops(xy, [geom for geom in self._solid if geom not in ignored])[0]

    def height_map(self, root: int, margin: float, cell: float = 0.005) -> HeightMap:
        """Return the heights around body ``root``, ``margin`` metres beyond its corners on every side."""
        low, high = (f(self.cloud(root)[:, :2], axis=0) for f in (np.min, np.max))
        half = float((high - low).max()) / 2 + margin
        ticks = np.arange(-half, half + cell, cell)
        corner = (low + high) / 2 + ticks[0]
        points = corner + cell * np.moveaxis(np.indices((len(ticks), len(ticks))), 0, -1)
        z, geom = self._tops(points.reshape(-1, 2), self._solid)
        own = np.isin(geom, self.boxes(root))
        return HeightMap(z.reshape(points.shape[:2]), own.reshape(points.shape[:2]), corner, cell)

    def _tops(self, xy: Array, geoms: list[int]) -> tuple[Array, npt.NDArray[np.int_]]:
        """Return height (n,) and geom (n,) of the highest box at each of ``xy`` (n, 2); 0 and -1 where none is.

        A vertical line is cut with each oriented box. mj_ray will not do: it passes through geoms with alpha 0,
        and LIBERO's butter, cream cheese and stove are such geoms.
        """
        height, owner = np.zeros(len(xy)), np.full(len(xy), -1)
        for geom in geoms:
            centre, half, rotation = self._box(geom)
            near = np.flatnonzero(np.linalg.norm(xy - centre[:2], axis=1) < np.linalg.norm(half))
            if not len(near):
                continue
            start = (np.column_stack([xy[near], np.zeros(len(near))]) - centre) @ rotation
            slope = np.where(np.abs(rotation[2]) < 1e-9, 1e-9, rotation[2])
            ends = np.stack([(-half - start) / slope, (half - start) / slope])
            enter, leave = ends.min(axis=0).max(axis=1), ends.max(axis=0).min(axis=1)
            higher = (enter <= leave) & (leave > height[near])
            height[near[higher]], owner[near[higher]] = leave[higher], geom
        return height, owner

    def _under(self, body: int, root: int) -> bool:
        while body not in (root, 0):
            body = int(self._model.body_parentid[body])
        return bool(body == root)

    def _box(self, geom: int) -> tuple[Array, Array, Array]:
        """Return centre (3,), half sizes (3,) and axes (3, 3) of the box around one geom."""
        rotation, box = np.array(self._data.geom_xmat[geom]).reshape(3, 3), self._model.geom_aabb[geom]
        return self._data.geom_xpos[geom] + rotation @ box[:3], np.array(box[3:]), rotation
