"""Make a process ready to import LIBERO: everything global that its import and robosuite's import would decide.

This is only for a process that does nothing else (``host.py``): environment variables and module state are changed for
good.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
import types
from importlib import metadata
from pathlib import Path

import yaml

from lingbot_eval.envs.gl import Backend
from lingbot_eval.envs.libero.assets import INSTALL, libero_root
from lingbot_eval.errors import NotReady

SCORE_MOVING = ("mujoco", "robosuite", "hf-libero")
"""The versions of these packages change trajectories or pictures (docs/pitfalls.md); they are in the protocol hash."""


SCORE_VERSION = "1"
"""The version of our own LIBERO environment, which is in the protocol hash. Raise it with every change that can move a
score."""


def prepare(assets: Path, gl: Backend | None) -> None:
    """Set up what must be before the first import of ``libero`` or ``robosuite``. With ``gl`` None nothing will be
    drawn, and no GL library is loaded.

    Without it LIBERO's import asks on the terminal where to keep data sets and writes ``~/.libero``; robosuite's
    overrides ``MUJOCO_GL`` and appends to ``/tmp/robosuite.log``, which on a shared machine belongs to somebody else.
    """
    os.environ["MUJOCO_GL"] = gl or "disable"
    if gl:
        os.environ["PYOPENGL_PLATFORM"] = gl
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    if not all(gpu.isdigit() for gpu in gpus.split(",")):
        del os.environ["CUDA_VISIBLE_DEVICES"]  # robosuite reads it as numbers of EGL devices: "" or a UUID raises
    folder = Path(tempfile.mkdtemp(prefix="lingbot_eval-libero-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    root = libero_root()
    paths = {
        "benchmark_root": str(root),
        "bddl_files": str(root / "bddl_files"),
        "init_states": str(root / "init_files"),
        "datasets": str(folder / "datasets"),
        "assets": str(assets),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(paths))
    os.environ["LIBERO_CONFIG_PATH"] = str(folder)
    _load_robosuite()
    import libero.libero

    libero.libero._assets_path_cache = str(assets)  # hf-libero 0.1.4 reads no setting for it


def _load_robosuite() -> None:
    """Import robosuite with two of its macros changed; it reads them while it is being imported, so they come first."""
    package = importlib.util.find_spec("robosuite")
    if package is None or not package.submodule_search_locations:
        raise NotReady(f"robosuite is not installed: {INSTALL}")
    file = Path(package.submodule_search_locations[0]) / "macros.py"
    spec = importlib.util.spec_from_file_location("robosuite.macros", file)
    if spec is None or spec.loader is None:
        raise NotReady(f"no {file}: this is not the robosuite that LIBERO needs; {INSTALL}")
    macros = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(macros)
    # Or it appends to /tmp/robosuite.log, and overrides MUJOCO_GL.
    vars(macros).update(FILE_LOGGING_LEVEL=None, MUJOCO_GPU_RENDERING=False)
    sys.modules["robosuite.macros"] = macros
    sys.modules["robosuite.macros_private"] = types.ModuleType("robosuite.macros_private")  # or it warns of none
    import robosuite

    robosuite.macros = macros


def versions() -> dict[str, str]:
    """Return the installed versions of :data:`SCORE_MOVING`, and our own :data:`SCORE_VERSION`."""
    return {**{name: metadata.version(name) for name in SCORE_MOVING}, "libero-env": SCORE_VERSION}
