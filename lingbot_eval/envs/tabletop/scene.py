"""The room has a table, a wall, a floor, and whatever is put there.

World frame: the origin is on the floor under the middle of the table, x to the right as the arms see it, y away from
them, z up; metres. No default of SAPIEN's is changed, so that two scenes share nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import numpy as np
import sapien

from lingbot_eval.envs.robotwin.ik import Vector
from lingbot_eval.envs.tabletop.appearance import Appearance
from lingbot_eval.envs.tabletop.bodies import FRICTION, Body, Part
from lingbot_eval.envs.tabletop.cameras import Cameras
from lingbot_eval.envs.vulkan import ADVICE
from lingbot_eval.errors import NotReady

RATE = 250.0  # physics steps per second; RoboTwin's
TABLE_HEIGHT, TABLE_HALF = 0.74, (0.6, 0.35, 0.025)  # RoboTwin's


class Scene:
    """It is one episode's world, which is made, used and dropped; ``table`` is the height of its top in metres."""

    def __init__(self, appearance: Appearance, pictures: tuple[int, int] | None) -> None:
        """Make the room; ``pictures`` says how many rows and columns those have that are drawn.

        Raises NotReady for pictures where no device draws.
        """
        self.appearance, self.table, self._painted = appearance, TABLE_HEIGHT + appearance.table_shift, bool(pictures)
        self.world = sapien.Scene(_systems(self._painted))
        self.world.set_timestep(1 / RATE)
        self.add("table", [Part(TABLE_HALF, appearance.table, (0, 0, -TABLE_HALF[2]))], (0, 0), still=True)
        self.add("wall", [Part((3.0, 0.6, 1.5), appearance.wall, (0, 0, 1.5 - self.table))], (0, 1.2), still=True)
        floor = sapien.render.RenderMaterial(base_color=[0.3, 0.3, 0.32, 1]) if pictures else None
        self.world.add_ground(0.0, self._painted, render_material=floor)
        self.cameras = Cameras(self.world, appearance, self.table, pictures) if pictures else None

    def add(
        self, name: str, parts: Sequence[Part], xy: Vector, yaw: float = 0.0, up: float = 0.0, still: bool = False
    ) -> Body:
        """Put a body on the table at ``xy``, its frame's origin ``up`` metres above the top; ``still``: immovable."""
        builder = self.world.create_actor_builder()
        for part in parts:
            part.build(builder, self._painted)
        builder.initial_pose = sapien.Pose([*xy, self.table + up], [np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])
        return Body(builder.build_static(name) if still else builder.build(name), parts)

    def add_slider(self, name: str, base: Part, slider: Part, xy: Vector, travel: float, stiffness: float) -> Any:
        """Add a body whose ``slider`` goes down by ``travel`` metres against a spring (N/m). Returns the articulation;
        its one joint is 0 at rest and ``travel`` at the bottom."""
        builder = self.world.create_articulation_builder()
        root = builder.create_link_builder()
        link = builder.create_link_builder(root)
        root.set_name(name)
        link.set_name(f"{name} slider")
        base.build(root, self._painted)
        slider.build(link, self._painted)
        down = sapien.Pose(q=[np.sqrt(0.5), 0, np.sqrt(0.5), 0])  # x to -z
        link.set_joint_properties("prismatic", [[0.0, travel]], down, down)
        builder.initial_pose = sapien.Pose([*xy, self.table])
        articulation = builder.build(fix_root_link=True)
        articulation.active_joints[0].set_drive_properties(stiffness, stiffness / 20)
        for each in articulation.links:
            each.disable_gravity = True  # or the slider would sag
        return articulation

    def load(self, urdf: Path) -> Any:
        """Load the robot of ``urdf``, with its root fixed."""
        loader = self.world.create_urdf_loader()
        loader.fix_root_link = True
        loader.set_material(FRICTION, FRICTION, 0.0)
        srdf = str(urdf.with_suffix(".srdf"))
        if self._painted:
            return loader.load(str(urdf), srdf)
        with TemporaryDirectory(prefix="lingbot_eval-") as folder:
            return loader.load(str(_without_visuals(urdf, Path(folder))), srdf)

    def step(self) -> None:
        self.world.step()


def _systems(pictures: bool) -> list[Any]:
    if not pictures:
        return [sapien.physx.PhysxCpuSystem()]
    try:
        return [sapien.physx.PhysxCpuSystem(), sapien.render.RenderSystem()]
    except RuntimeError as error:
        raise NotReady(f"SAPIEN draws nothing here: {error}. {ADVICE}") from None


def _without_visuals(urdf: Path, folder: Path) -> Path:
    """Write a copy of ``urdf`` into ``folder`` that paints nothing: SAPIEN makes no material where no device draws."""
    tree = ElementTree.parse(urdf)  # noqa: S314 - our own file
    for link in tree.iter("link"):
        for visual in link.findall("visual"):
            link.remove(visual)
    copy = folder / urdf.name
    tree.write(copy)
    return copy
