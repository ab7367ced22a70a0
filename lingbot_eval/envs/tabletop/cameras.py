"""A scene's lights and its three cameras, which need a Vulkan device that draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import sapien

from lingbot_eval.envs.tabletop.appearance import Appearance
from lingbot_eval.types import Image

FIELDS = {"head_camera": np.deg2rad(55), "left_camera": np.deg2rad(50), "right_camera": np.deg2rad(50)}
"""Vertical fields of view in radians. RoboTwin's 37 degrees show its table and hardly an arm; these show what the hands
do."""

HEAD_POSITION, HEAD_FORWARD, HEAD_LEFT = (0.0, -0.52, 1.46), (0.0, 0.6, -0.8), (-1.0, 0.0, 0.0)
"""World frame, metres and unit vectors: above the arms' bases, looking forward and down."""

SHADOWS = {"shadow_scale": 1.0, "shadow_near": -2.0, "shadow_far": 2.0, "shadow_map_size": 1024}
"""Metres around the table, and pixels; SAPIEN's own 10 m and 2048 cost more and show less."""

MIRRORED, NOTHING = "BRDFLUT", np.zeros((1, 1, 4), np.uint8)
"""SAPIEN's table of how strongly surfaces mirror their surroundings, and one to use instead.

Its own, 512 x 512 values from 1024 samples each, is computed on the device before the first camera draws, and again
whenever no scene was left in between (svulkan2 src/resource/manager.cpp, getDefaultBRDFLUT): 12 s of a CPU, of which a
look takes 0.2. Our surroundings are black, no scene having a cubemap, and what the table says is multiplied by them
(vulkan_shader/default/deferred.frag, specularIBL): the pictures are the same to the last bit."""


class Cameras:
    def __init__(self, world: Any, appearance: Appearance, table: float, size: tuple[int, int]) -> None:
        """Light the ``world`` and put the cameras into it; ``table`` is the height of its top in metres, ``size`` that
        of a picture: rows and columns."""
        world.set_ambient_light(appearance.ambient)
        world.add_directional_light(
            appearance.sun_direction, appearance.sun, shadow=True, position=[0, 0, table], **SHADOWS
        )
        self._world = world
        height, width = size
        self._cameras = {
            name: world.add_camera(name, width, height, fovy=field, near=0.02, far=10.0)
            for name, field in FIELDS.items()
        }
        nothing = sapien.render.RenderTexture(NOTHING, 2, "R8G8B8A8Unorm")
        for camera in self._cameras.values():
            camera.set_texture(MIRRORED, nothing)
        pose = np.eye(4)
        pose[:3] = np.stack([HEAD_FORWARD, HEAD_LEFT, np.cross(HEAD_FORWARD, HEAD_LEFT), HEAD_POSITION], axis=1)
        self._cameras["head_camera"].entity.set_pose(sapien.Pose(pose))

    def draw(self, left_wrist: Any, right_wrist: Any) -> dict[str, Image]:
        """Draw (rows, columns, 3) per camera, row 0 on top; the wrist cameras look along x of the given poses."""
        self._cameras["left_camera"].entity.set_pose(left_wrist)
        self._cameras["right_camera"].entity.set_pose(right_wrist)
        self._world.update_render()
        drawn = {}
        for name, camera in self._cameras.items():
            camera.take_picture()
            drawn[name] = (camera.get_picture("Color")[..., :3] * 255).clip(0, 255).astype(np.uint8)
        return drawn
