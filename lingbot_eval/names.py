"""Make names of files of the names of tasks, hosts and episodes."""

from __future__ import annotations

import re

from lingbot_eval.types import Episode, Outcome


def safe_name(name: str) -> str:
    """Return ``name`` as one path component: anything but letters, digits, ``.``, ``_`` and ``-`` becomes ``_``."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:150] or "_"


def stem(episode: Episode) -> str:
    """Return ``<seed>``, with setting and stored state where the benchmark has them: unique within a task."""
    state = "" if episode.initial_state is None else f"-state{episode.initial_state:02d}"
    return safe_name("-".join(part for part in (episode.setting, str(episode.seed)) if part) + state)


def video_name(episode: Episode, outcome: Outcome) -> str:
    """Return where an episode's mp4 lies in the run's ``videos`` folder: ``<task>/<stem>-<outcome>.mp4``."""
    return f"{safe_name(episode.task)}/{stem(episode)}-{outcome.value}.mp4"


def actions_name(episode: Episode) -> str:
    """Return where an episode's commands lie in the run's ``actions`` folder: ``<task>/<stem>.npz``."""
    return f"{safe_name(episode.task)}/{stem(episode)}.npz"
