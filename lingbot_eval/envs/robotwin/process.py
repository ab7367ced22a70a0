"""Make a process ready to import RoboTwin: working directory, import path, and what stands in for what is not there.

This is only for a process that does nothing else (``host.py``). No file of the checkout is changed: where it needs an
embodiment or an object list that it has not, a folder of links stands in for its root.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

from lingbot_eval.envs.robotwin.checkout import Checkout
from lingbot_eval.settings.robotwin import RoboTwinSettings

SCORE_VERSION = "1"
"""The version of our driving of RoboTwin, which is in the protocol hash. Raise it with every change that can move a
score."""

OWN_ARMS = "lingbot_eval-tabletop"
"""The name of this package's arm among the checkout's embodiments."""

APART = 0.7
"""Metres between the bases of two of them, as RoboTwin's manual puts two Frankas."""


def prepare(checkout: Checkout, simulator: RoboTwinSettings) -> None:
    """Set up before the first import of ``envs``; the settings are resolved, nothing in them is ``auto``."""
    root = overlay(checkout) if simulator.embodiment == "tabletop" else checkout.root
    os.chdir(root)  # RoboTwin opens ./assets/...
    sys.path.insert(0, str(root))
    stand_in("open3d")  # point clouds, which no agent here is given
    if simulator.planner == "mplib":
        stand_in("curobo", always=True)
    _choose_renderer(simulator)
    if simulator.planner == "mplib":
        _choose_planner()


def overlay(checkout: Checkout) -> Path:
    """Make a folder that looks like the checkout and has this package's arm among its embodiments, and empty lists of
    objects where the assets were never downloaded."""
    root = Path(tempfile.mkdtemp(prefix="lingbot_eval-robotwin-"))
    for entry in checkout.root.iterdir():
        if entry.name != "assets":
            (root / entry.name).symlink_to(entry)
    for folder in ("assets", "assets/objects", "assets/embodiments"):
        (root / folder).mkdir()
        there = checkout.root / folder
        for entry in there.iterdir() if there.is_dir() else ():
            if entry.name not in ("objects", "embodiments"):
                (root / folder / entry.name).symlink_to(entry)
    arm = root / "assets" / "embodiments" / OWN_ARMS
    arm.mkdir()
    for file in (files("lingbot_eval") / "envs" / "tabletop" / "embodiment").iterdir():
        (arm / file.name).write_bytes(file.read_bytes())
    clutter: dict[str, Any] = {"item_names": [], "list_of_items": {}, "z_max": {}, "radius": {}, "z_offset": {}}
    lists: dict[str, Any] = {"objaverse/list.json": clutter, "same.json": {}}
    for name, empty in lists.items():
        file = root / "assets" / "objects" / name
        if not file.exists():  # read while envs.utils is imported
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(empty))
    return root


def stand_in(package: str, always: bool = False) -> None:
    """Let ``package`` be imported with nothing in it, where it is not installed (or ``always``)."""
    if always or importlib.util.find_spec(package) is None:
        sys.meta_path.insert(0, _Empty(package))


class _Empty(MetaPathFinder, Loader):
    """It finds the package and anything in it, as modules whose every name is a _Nothing."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.split(".")[0] == self._package else None

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__getattr__"] = _anything


def _anything(name: str) -> _Nothing:
    if name.startswith("__"):  # what Python asks of every module
        raise AttributeError(name)
    return _Nothing()


class _Nothing:
    """Whatever is asked of it is nothing again."""

    def __getattr__(self, name: str) -> _Nothing:
        return self

    def __call__(self, *values: Any, **named: Any) -> _Nothing:
        return self


def _choose_renderer(simulator: RoboTwinSettings) -> None:
    """RoboTwin's ``setup_scene`` asks for ray tracing with oidn; what the settings say is used instead."""
    import sapien.core  # RoboTwin's name for sapien
    import sapien.render

    set_shader, set_denoiser = sapien.render.set_camera_shader_dir, sapien.render.set_ray_tracing_denoiser
    sapien.render.set_camera_shader_dir = lambda _: set_shader(simulator.shader)
    if simulator.shader == "default":
        sapien.render.set_ray_tracing_denoiser = lambda _: None
    else:
        sapien.render.set_ray_tracing_denoiser = lambda _: set_denoiser(simulator.denoiser)


def _choose_planner() -> None:
    """``Robot.set_planner`` makes a CuroboPlanner whatever the embodiment's config says, so ours takes its name."""
    from lingbot_eval.envs.robotwin.planner import Planner

    for module in ("envs.robot.planner", "envs.robot.robot"):
        vars(importlib.import_module(module))["CuroboPlanner"] = Planner
