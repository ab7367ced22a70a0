"""Choose MuJoCo's OpenGL backend by drawing a picture with it in a process of its own: a broken driver may crash."""

from __future__ import annotations

from typing import Literal

from lingbot_eval.envs.first_picture import IDLE_SECONDS, FirstPicture, first_picture
from lingbot_eval.errors import NotReady

Backend = Literal["egl", "osmesa"]
BACKENDS: tuple[Backend, ...] = ("egl", "osmesa")  # EGL is the one that uses a GPU

ADVICE = "On Debian: apt install libegl1 libegl-mesa0 libgl1-mesa-dri libosmesa6; with a GPU its driver's EGL will do"

_DRAW = """
import mujoco
print("MuJoCo is imported", flush=True)
model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><light pos="0 0 3"/><geom size="1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 32, 32)
print("the renderer is made", flush=True)
renderer.update_scene(data)
assert renderer.render().any(), "the picture is black"
from OpenGL import GL
print(GL.glGetString(GL.GL_RENDERER).decode())
"""


def probe(backend: Backend, python: str | None = None, idle: float = IDLE_SECONDS) -> FirstPicture:
    """Return the picture that MuJoCo drew with it, which is given up after ``idle`` seconds without progress.

    Raises NotReady with the backend's own last words.
    """
    caches = {"MESA_SHADER_CACHE_DISABLE": "true", "__GL_SHADER_DISK_CACHE": "0"}  # the drivers' lie in the user's home
    chosen = {"MUJOCO_GL": backend, "PYOPENGL_PLATFORM": backend}
    return first_picture(_DRAW, f"MuJoCo's {backend} backend", python, {**caches, **chosen}, "", idle)


def choose(wanted: Literal["auto", "egl", "osmesa"]) -> tuple[Backend, FirstPicture]:
    """Return the backend to use and the picture that it drew; ``auto`` takes EGL where it works, else OSMesa.

    Raises NotReady.
    """
    failures = []
    for backend in BACKENDS if wanted == "auto" else (wanted,):
        try:
            return backend, probe(backend)
        except NotReady as error:
            failures.append(str(error))
    raise NotReady(f"{'; '.join(failures)}. {ADVICE}")
