"""Can RoboTwin, or tabletop, run on this machine, and what about it can move a score?  Imports neither."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from importlib.resources import files

import msgspec

from lingbot_eval.attempt import Stuck, attempt
from lingbot_eval.envs import tabletop, vulkan
from lingbot_eval.envs.first_picture import FirstPicture
from lingbot_eval.envs.robotwin import poses
from lingbot_eval.envs.robotwin import process as robotwin_process
from lingbot_eval.envs.robotwin.checkout import Checkout
from lingbot_eval.errors import NotReady
from lingbot_eval.settings.robotwin import RoboTwinSettings
from lingbot_eval.settings.tabletop import TabletopSettings

Scenes = Iterable[tuple[str, str]]
"""(task, setting) pairs that will be played."""

Found = tuple[RoboTwinSettings | TabletopSettings, dict[str, str], dict[str, str], FirstPicture | None]
"""The settings with every choice made, score-moving facts, notes, and what was drawn."""

IMPORTED = {
    **{name: name for name in ("sapien", "mplib", "torch", "toppra", "transforms3d", "trimesh", "h5py", "scipy")},
    "cv2": "opencv-python-headless",
}
"""The package that has a module, by the module's name, for all that a checkout imports. CuRobo and open3d are stood in
for; pytorch3d is optional."""

SOFTWARE = ("llvmpipe", "lavapipe", "swiftshader")
"""The names of devices that are no GPU contain one of these."""

INSTALL = "pip install 'lingbot_eval[{extra}]'"


def look_at(simulator: RoboTwinSettings | TabletopSettings, draws: bool, scenes: Scenes) -> Found:
    """Look at what is here. ``draws`` says that pictures will be wanted.

    Raises NotReady that names everything that is missing, a line each.
    """
    if isinstance(simulator, RoboTwinSettings):
        return _robotwin(simulator, scenes)
    if lacking := [name for name in ("sapien", "mplib", "toppra") if importlib.util.find_spec(name) is None]:
        raise NotReady(f"tabletop needs {', '.join(lacking)}: {INSTALL.format(extra='tabletop')}")
    if not draws:  # without pictures it needs no Vulkan at all
        _load()
    frame = vulkan.probe() if draws else None
    notes = {"vulkan_device": frame.device} if frame else {}
    ours = {"tabletop": tabletop.SCORE_VERSION, "bimanual-commands": poses.SCORE_VERSION}
    facts = {name: metadata.version(name) for name in ("sapien", "mplib")} | ours
    return simulator, facts, notes, frame


def _load() -> None:
    """Load SAPIEN. Raises NotReady where it is installed and cannot be loaded: its library wants X11's, pictures or
    not."""
    try:
        import sapien  # noqa: F401
    except ImportError as error:
        raise NotReady(f"SAPIEN cannot be loaded: {error}. On Debian: apt install libx11-6, or `make system`") from None


def _robotwin(simulator: RoboTwinSettings, scenes: Scenes) -> Found:
    problems: list[str] = []
    if lacking := [package for name, package in IMPORTED.items() if importlib.util.find_spec(name) is None]:
        problems.append(f"Python packages: {', '.join(lacking)}: {INSTALL.format(extra='robotwin')}")
    checkout, frame, planner = None, None, ""
    with _collected(problems):
        checkout = Checkout(simulator.root)
        if wanting := checkout.missing(scenes, own_arms=simulator.embodiment == "tabletop"):
            problems.append(f"assets in {checkout.root}: {'; '.join(wanting)}. {checkout.download()}")
    with _collected(problems):
        planner = _planner(simulator)
    if "sapien" not in lacking:
        with _collected(problems):
            frame = vulkan.probe()  # also without pictures: RoboTwin makes its renderer with the scene
    if problems or checkout is None or frame is None:
        raise NotReady("\n".join(problems))
    shader = simulator.shader
    if shader == "auto":
        shader = "default" if any(name in frame.device.lower() for name in SOFTWARE) else "rt"
    denoiser = simulator.denoiser if shader == "rt" else "none"
    code, warning = checkout.code()
    arms = checkout.embodiment() if simulator.embodiment == "checkout" else [f"tabletop {arm_hash()}"]
    facts = {
        "robotwin": code,
        "sapien": metadata.version("sapien"),
        "planner": f"{planner} {_version({'curobo': 'nvidia_curobo'}.get(planner, planner))}".strip(),
        "shader": shader,
        "denoiser": denoiser,
        "embodiment": " ".join(map(str, arms)),
        "robotwin-assets": checkout.assets_hash(),
        "robotwin-env": robotwin_process.SCORE_VERSION,
        "bimanual-commands": poses.SCORE_VERSION,
    }
    notes = {"vulkan_device": frame.device, "robotwin_root": str(checkout.root)}
    if warning:
        notes["warning"] = warning
    chosen = msgspec.structs.replace(
        simulator, root=str(checkout.root), planner=planner, shader=shader, denoiser=denoiser
    )
    return chosen, facts, notes, frame


def arm_hash() -> str:
    """Return 8 hex digits over the files of this package's arm."""
    digest = hashlib.sha256()
    for file in sorted(
        (files("lingbot_eval") / "envs" / "tabletop" / "embodiment").iterdir(), key=lambda file: file.name
    ):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:8]


@contextlib.contextmanager
def _collected(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except NotReady as error:
        problems.append(str(error))


def _planner(simulator: RoboTwinSettings) -> str:
    """Return which planner serves. Raises NotReady where CuRobo is asked for and cannot be imported."""
    if simulator.planner == "mplib":
        return "mplib"
    script = "from curobo.wrap.reacher.motion_gen import MotionGen; import torch; assert torch.cuda.is_available()"
    try:
        done = attempt([sys.executable, "-c", script], idle=300.0)  # CuRobo may compile its kernels first
        words = [line for line in done.err.splitlines() if line.strip()][-1:] or [f"exit {done.code}"]
        fine = done.code == 0
    except Stuck as how:
        words, fine = [f"its import {how}"], False
    if fine:
        return "curobo"
    if simulator.planner == "curobo":
        raise NotReady(f"env.planner=curobo, but it cannot be used here: {words[0].strip()}")
    return "mplib"


def _version(package: str) -> str:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return ""
