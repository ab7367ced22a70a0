"""Read a RoboTwin checkout as files: where things lie in either layout, which code it is, what it lacks. This needs no
simulator.

The layouts: ``task_config/`` in the root (2eeec322), ``env_cfg/task_config/`` on the newer main branch.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from lingbot_eval.envs.robotwin.tasks import TASKS
from lingbot_eval.errors import BadInput, NotReady, UnknownName

CONFIGS = {"easy": "demo_clean", "hard": "demo_randomized"}
"""The benchmark's two settings, as its leaderboard calls them, and their files."""

_TABLES = ("_camera_config", "_embodiment_config", "_eval_step_limit")

KNOWN = {
    "d110a9738f3d": "2eeec322",
    "10e2e43f1c89": "cf47ab5",
}
"""The commit of RoboTwin-Platform/RoboTwin that has this code, by content hash of the code that moves a score."""

HOW = (
    "git clone https://github.com/RoboTwin-Platform/RoboTwin && git -C RoboTwin checkout 2eeec322; then say "
    "env.root=DIR or set ROBOTWIN_ROOT, and env.python=FILE for the interpreter RoboTwin is installed in"
)

DOWNLOAD = "RoboTwin's own script downloads them: bash script{s}/_download_assets.sh in the checkout"


class Checkout:
    """It is the checkout in ``root``.

    Raises NotReady where there is none.
    """

    def __init__(self, root: str | None) -> None:
        given = root or os.environ.get("ROBOTWIN_ROOT")
        if not given:
            raise NotReady(f"no RoboTwin checkout: {HOW}")
        self.root = Path(given).expanduser().resolve()
        layouts = [self.root / "task_config", self.root / "env_cfg" / "task_config"]
        found = [folder for folder in layouts if (folder / "_eval_step_limit.yml").is_file()]
        if not found or not (self.root / "envs" / "_base_task.py").is_file():
            raise NotReady(f"{self.root} is no RoboTwin checkout (envs/_base_task.py, _eval_step_limit.yml): {HOW}")
        self.configs = found[0]

    def command_limit(self, task: str) -> int:
        """Return the task's own limit, from the checkout's file; RoboTwin's code takes 1000 where it has none.

        Raises UnknownName.
        """
        limits = read_yaml(self.configs / "_eval_step_limit.yml")
        if task not in limits:
            raise UnknownName(f"task in {self.configs / '_eval_step_limit.yml'}", task, limits)
        return int(limits[task])

    def config(self, setting: str) -> dict[str, Any]:
        """Return what is in ``demo_clean.yml`` or ``demo_randomized.yml``."""
        return read_yaml(self.configs / f"{CONFIGS[setting]}.yml")

    def embodiment(self) -> list[Any]:
        """Return what its ``demo_clean.yml`` names: [arms], or [left arm, right arm, metres between them]."""
        return list(self.config("easy")["embodiment"])

    def code_hash(self) -> str:
        """Return 12 hex digits over the files that decide scenes, control, success and sentences."""
        files = [
            *self.root.glob("envs/**/*.py"),
            *self.root.glob("description/**/*.json"),
            self.root / "description" / "utils" / "generate_episode_instructions.py",
            *(self.configs / f"{name}.yml" for name in (*CONFIGS.values(), *_TABLES)),
        ]
        return _hash(self.root, files, lambda file: file.read_bytes())

    def code(self) -> tuple[str, str]:
        """Return (name of this code, warning): the commit where it is a known one, else its hash and a sentence."""
        digest = self.code_hash()
        if digest in KNOWN:
            return KNOWN[digest], ""
        head = _git_head(self.root)
        at = f" (HEAD {head[:8]})" if head else ""
        known = ", ".join(KNOWN.values())
        return digest, f"{self.root}{at} is no RoboTwin that this package was tried with ({known}); it may still work"

    def assets_hash(self) -> str:
        """Return 12 hex digits over names and sizes (not contents: gigabytes) of all assets; "none" where there are
        none."""
        files = [file for file in self.root.glob("assets/*/**/*") if file.is_file() and file.parts[-2] != "files"]
        return _hash(self.root, files, lambda file: b"%d" % file.stat().st_size) if files else "none"

    def missing(self, scenes: Iterable[tuple[str, str]], own_arms: bool) -> list[str]:
        """Say which assets these (task, setting) need and the checkout lacks, one sentence each. ``own_arms`` says that
        the embodiment is this package's.

        Raises UnknownName for a task that RoboTwin has not.
        """
        scenes, assets, problems = list(scenes), self.root / "assets", []
        for task, _ in scenes:
            if task not in TASKS:
                raise UnknownName("RoboTwin task", task, TASKS)
        arms = [] if own_arms else [part for part in self.embodiment() if isinstance(part, str)]
        for arm in dict.fromkeys(arms):
            folder = self.root / read_yaml(self.configs / "_embodiment_config.yml")[arm]["file_path"]
            if not (folder / "config.yml").is_file():
                problems.append(f"the embodiment {arm} (or say env.embodiment=tabletop)")
        objects = {name: task for task, _ in scenes for name in TASKS[task].objects}
        lacking = [name for name in objects if not (assets / "objects" / name).is_dir()]
        if lacking:
            tasks = list(dict.fromkeys(objects[name] for name in lacking))
            problems.append(f"objects {_some(lacking)} (for {_some(tasks)})")
        if any(setting == "hard" for _, setting in scenes):
            if not any((assets / "background_texture" / "unseen").glob("*")):
                problems.append("background_texture/unseen (for setting hard)")
            if not (assets / "objects" / "objaverse" / "list.json").is_file():
                problems.append("objects/objaverse (for setting hard)")
        return problems

    def download(self) -> str:
        """Say how to get the assets."""
        return DOWNLOAD.format(s="s" if (self.root / "scripts").is_dir() else "")


def read_yaml(file: Path) -> dict[str, Any]:
    """Return the mapping in ``file``. Raises BadInput where there is no such file, or it holds no mapping."""
    try:
        data = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise BadInput(f"{file}: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise BadInput(f"{file} is not the YAML of keys and values that RoboTwin has there; check out RoboTwin anew")
    return data


def _git_head(root: Path) -> str:
    if not (root / ".git").exists():  # not the repository that the checkout happens to lie in
        return ""
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip()


def _hash(root: Path, files: Iterable[Path], content: Any) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(root).as_posix()}\n".encode() + hashlib.sha256(content(file)).digest())
    return digest.hexdigest()[:12]


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
