"""Choose MuJoCo's OpenGL backend by drawing a frame with it in a process of its own: a broken driver may crash."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Literal

from lingbot_eval.errors import NotReady

Backend = Literal["egl", "osmesa"]
BACKENDS: tuple[Backend, ...] = ("egl", "osmesa")  # EGL is the one that uses a GPU

ADVICE = "On Debian: apt install libegl1 libegl-mesa0 libgl1-mesa-dri libosmesa6; with a GPU its driver's EGL will do"

_DRAW = """
import mujoco
model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><light pos="0 0 3"/><geom size="1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 32, 32)
renderer.update_scene(data)
assert renderer.render().any(), "the frame is black"
from OpenGL import GL
print(GL.glGetString(GL.GL_RENDERER).decode())
"""


def probe(backend: Backend, python: str | None = None) -> str:
    """The name of the device that drew a frame.

    Raises NotReady with the backend's own last words.
    """
    command = [python or sys.executable, "-c", _DRAW]
    caches = {"MESA_SHADER_CACHE_DISABLE": "true", "__GL_SHADER_DISK_CACHE": "0"}  # the drivers' lie in the user's home
    environment = {**os.environ, **caches, "MUJOCO_GL": backend, "PYOPENGL_PLATFORM": backend}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        raise NotReady(f"MuJoCo's {backend} backend drew no frame within 120 s") from None
    except OSError as error:
        raise NotReady(f"{command[0]} cannot be started: {error.strerror}") from None
    if done.returncode or not done.stdout.strip():
        words = [line for line in done.stderr.splitlines() if line.strip()][-1:] or [f"exit {done.returncode}"]
        raise NotReady(f"MuJoCo's {backend} backend draws nothing here: {words[0].strip()}")
    return done.stdout.strip().splitlines()[-1]


def choose(wanted: Literal["auto", "egl", "osmesa"]) -> tuple[Backend, str]:
    """The backend to use and the device that drew with it; ``auto`` takes EGL where it works, else OSMesa.

    Raises NotReady.
    """
    failures = []
    for backend in BACKENDS if wanted == "auto" else (wanted,):
        try:
            return backend, probe(backend)
        except NotReady as error:
            failures.append(str(error))
    raise NotReady(f"{'; '.join(failures)}. {ADVICE}")
