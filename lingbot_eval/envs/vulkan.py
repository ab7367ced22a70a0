"""Find out whether SAPIEN can draw here, in a process of its own: without a usable driver it may crash instead of
raising."""

from __future__ import annotations

from lingbot_eval.envs.first_picture import IDLE_SECONDS, FirstPicture, first_picture

ADVICE = (
    "SAPIEN needs the Vulkan driver of an NVIDIA GPU, or a recent Mesa (25.0 works). Debian 12's own 22.3 is too old: "
    "apt install -t bookworm-backports mesa-vulkan-drivers, which `make system` does"
)

# BRDFLUT: cameras.py of our own tasks says what it is and that it took most of the time.
_DRAW = """
import numpy
import sapien
print("SAPIEN is imported", flush=True)
scene = sapien.Scene()
print("a device is found", flush=True)
scene.set_ambient_light([1, 1, 1])
builder = scene.create_actor_builder()
builder.add_sphere_visual(radius=1.0)
builder.initial_pose = sapien.Pose([3, 0, 0])
builder.build_static()
camera = scene.add_camera("probe", 32, 32, 1.0, 0.1, 10.0)
camera.set_texture("BRDFLUT", sapien.render.RenderTexture(numpy.zeros((1, 1, 4), "uint8"), 2, "R8G8B8A8Unorm"))
scene.update_render()
print("the scene is made", flush=True)
camera.take_picture()
assert camera.get_picture("Color")[..., :3].any(), "the picture is black"
print(scene.render_system.device.name)
"""


def probe(python: str | None = None, idle: float = IDLE_SECONDS) -> FirstPicture:
    """Return the picture that SAPIEN's rasteriser drew, which is given up after ``idle`` seconds without progress.

    Raises NotReady with SAPIEN's own last words and what to do.
    """
    caches = {"MESA_SHADER_CACHE_DISABLE": "true"}  # it lies in the user's home
    return first_picture(_DRAW, "SAPIEN", python, caches, ADVICE, idle)
