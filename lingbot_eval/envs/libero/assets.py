"""Find LIBERO's meshes, scenes and textures, which no package on PyPI ships.

``libero_assets.txt`` lists the files that the forty tasks of the four suites read; they are checked for presence and
hashed, so that two runs with other geometry or other pictures are never taken for the same experiment.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

from lingbot_eval.errors import NotReady

HUB_DATASET = "lerobot/libero-assets"  # hf-libero 0.1.4, libero/libero/utils/download_utils.py: HF_ASSETS_REPO_ID
COMMITS = f"https://huggingface.co/datasets/{HUB_DATASET}/commits/main"
CACHE = Path("~/.cache/libero/assets")  # hf-libero 0.1.4, libero/libero/utils/download_utils.py
INSTALL = (
    "in a checkout of lingbot_eval: pip install -c constraints.txt -e '.[libero]' && "
    "pip install --no-deps -r requirements-libero.txt (make setup does both)"
)
INSIDE_A_CHECKOUT = Path("libero/libero/assets")  # of Lifelong-Robot-Learning/LIBERO


def required() -> list[str]:
    """Return the relative paths of every asset file that the forty tasks read."""
    return (resources.files("lingbot_eval.envs.libero") / "assets.txt").read_text().split()


def find_assets(given: str | None, download: bool | str | None) -> Path:
    """Return the first complete assets folder of: ``env.assets``, ``$LIBERO_ASSETS``, the installed LIBERO checkout's
    own, hf-libero's cache, a download to there (only where ``download`` is a commit of HUB_DATASET).

    A folder that was named (by setting or variable) and is incomplete is an error: nothing else is taken instead.
    Raises NotReady naming where it looked and what to do.
    """
    looked = [] if os.environ.get("LIBERO_ASSETS") else ["$LIBERO_ASSETS (not set)"]
    for label, folder, named in _places(given):
        inside = folder / INSIDE_A_CHECKOUT
        folder = inside if inside.is_dir() else folder
        missing = [name for name in required() if not (folder / name).is_file()]
        if not missing:
            return folder.resolve()
        looked.append(f"{label} ({_verdict(folder, missing)})")
        if named:
            raise NotReady(f"LIBERO assets: {looked[-1]}. {_ADVICE}.")
    if isinstance(download, str):
        return _download(download)
    raise NotReady(
        f"no LIBERO assets; looked at {', '.join(looked)}. {_ADVICE}, or have it downloaded: env.download=COMMIT, of "
        f"those that {COMMITS} lists (which files come is not left to the day)."
    )


_ADVICE = (
    "Give a folder with env.assets=DIR or LIBERO_ASSETS=DIR (the folder with articulated_objects/, scenes/, ..., "
    "or a LIBERO checkout)"
)


def assets_hash(folder: Path) -> str:
    """Return 12 hex digits over the names and contents of the files the tasks read."""
    digest = hashlib.sha256()
    for name in required():
        digest.update(name.encode() + b"\0" + hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()[:12]


def libero_root() -> Path:
    """Return the folder of ``libero.libero``, found without importing it: its import asks questions on first use.

    Raises NotReady.
    """
    spec = importlib.util.find_spec("libero")
    if spec is None or not spec.submodule_search_locations:
        raise NotReady(f"LIBERO is not installed: {INSTALL}")
    return Path(spec.submodule_search_locations[0]) / "libero"


def _places(given: str | None) -> list[tuple[str, Path, bool]]:
    """Return each place as (how it is called, folder, whether the user named it)."""
    if given:
        return [("env.assets", Path(given).expanduser(), True)]
    if variable := os.environ.get("LIBERO_ASSETS"):
        return [("$LIBERO_ASSETS", Path(variable).expanduser(), True)]
    return [
        ("the installed package", libero_root() / "assets", False),
        ("hf-libero's cache", CACHE.expanduser(), False),
    ]


def _verdict(folder: Path, missing: list[str]) -> str:
    if not folder.is_dir():
        return f"{folder}: no such folder"
    return f"{folder}: {len(missing)} of {len(required())} files missing, e.g. {missing[0]}"


NO_SUCH_COMMIT = 4
"""_DOWNLOAD exits with this status where the hub knows no such commit."""

_DOWNLOAD = f"""
import sys, huggingface_hub as hub
try:
    hub.snapshot_download(sys.argv[1], repo_type="dataset", local_dir=sys.argv[2], revision=sys.argv[3])
except Exception as error:
    while error.__cause__:  # the hub's client says "check your internet connection" of everything
        error = error.__cause__
    print((str(error).splitlines() or [type(error).__name__])[0], file=sys.stderr)
    status = getattr(getattr(error, "response", None), "status_code", None)
    sys.exit({NO_SUCH_COMMIT} if status == 404 else 1)
"""


def _download(commit: str) -> Path:
    """Fetch hf-libero's data set to where hf-libero keeps it, resuming what an interruption left.

    Not by hf-libero's own function: it passes an argument that huggingface_hub has dropped, and takes four folders for
    a complete download.
    """
    folder = CACHE.expanduser()
    done = subprocess.run(
        [sys.executable, "-c", _DOWNLOAD, HUB_DATASET, str(folder), commit],
        stderr=subprocess.PIPE,
        stdout=sys.stderr,
        text=True,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        if done.returncode == NO_SUCH_COMMIT:
            raise NotReady(f"the hub's data set {HUB_DATASET} has no commit {commit}; {COMMITS} lists them. {_ADVICE}.")
        reason = lines[-1].strip().rstrip(".")
        raise NotReady(
            f"the hub's data set {HUB_DATASET}@{commit} could not be downloaded to {folder}: {reason}. {_ADVICE}."
        )
    missing = [name for name in required() if not (folder / name).is_file()]
    if missing:
        raise NotReady(
            f"the download of {HUB_DATASET}@{commit} is incomplete ({_verdict(folder, missing)}). {_ADVICE}."
        )
    return folder
