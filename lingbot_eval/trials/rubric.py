"""A rubric says how a task is scored: it is a small YAML file. ``rubrics/`` has those that ship."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
import yaml

from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.settings import Seconds, as_struct


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    points: Annotated[float, msgspec.Meta(gt=0)]


class Rubric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A task and the rules under which a person scores it; all of it is in the protocol hash."""

    task: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]+$")]
    title: str
    """Tables print it."""
    instruction: str
    source: str
    """It says where the rules come from, and what of them is not published."""
    steps: tuple[Step, ...]
    """They are shown in this order. There are none where no maximum is known: the task then has no PS."""
    half_points: bool
    """Where it is true, a step may be given half of its points."""
    success: str
    """It is the rule, in words; the person decides."""
    time_limit_seconds: Seconds | None
    """A success after it is refused."""
    retries: Annotated[int, msgspec.Meta(ge=0)] | None
    """A trial may have so many; None: any number."""
    platforms: tuple[str, ...]
    """The rules are for these robots; empty: any."""

    @property
    def max_progress(self) -> float:
        """Return the published "max steps"; 0 where it is unknown."""
        return sum(step.points for step in self.steps)


def shipped() -> list[str]:
    """Name the rubrics of this package."""
    folder = resources.files("lingbot_eval.trials") / "rubrics"
    return sorted(entry.name[: -len(".yaml")] for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_rubric(name: str) -> Rubric:
    """Load a shipped rubric by its name, or a file by its path, which ends in .yaml.

    Raises UnknownName, BadInput.
    """
    try:
        if name.endswith((".yaml", ".yml")):
            text = Path(name).read_text(encoding="utf-8")
        elif name in shipped():
            text = (resources.files("lingbot_eval.trials") / "rubrics" / f"{name}.yaml").read_text(encoding="utf-8")
        else:
            raise UnknownName("rubric (or the path of a .yaml file)", name, shipped())
        data = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"{name} is no rubric: {' '.join(str(error).split())}") from None
    try:
        rubric: Rubric = as_struct(data, Rubric)
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from None
    return rubric
