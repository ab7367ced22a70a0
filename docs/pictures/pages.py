"""Pictures of pages, taken anew from runs that are played for them: python -m docs.pictures.pages FOLDER

The runs stay in FOLDER/pages, so that a second time takes seconds, not minutes. Needs what `make test` installs:
tabletop's simulator and a Chromium. The scores of the robot trials are drawn by chance; nobody's policy was measured.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lingbot_eval.trials import TrialPlan, TrialSession, load_rubric
from lingbot_eval.types import Outcome
from tests.browser import MISSING, Browser, program

HERE = Path(__file__).parent
TABLETOP = ["tabletop", "--video", "on", "--episodes", "3", "--tasks", "lift_block,stack_two,hand_over_bar"]
RUNS = {name: ["run_suite", *TABLETOP, "--agent", name, "--out", name] for name in ("expert", "idle")}
REPORTS = [
    ["report", "trials/a"],
    ["compare", "idle", "expert", "--page", "idle-expert.html"],
    ["compare", "trials/b", "trials/a", "--page", "trials.html"],
]


@dataclass(frozen=True)
class Picture:
    """A view of a page; width and height in pixels."""

    address: str
    """The page's file, and what is chosen in it."""
    width: int = 1200
    height: int = 1000
    dark: bool = False


STACK, HAND = "tabletop/stack_two/easy/10000/-", "tabletop/hand_over_bar/easy/10000/-"
PICTURES = {
    "page": Picture(f"expert/report/index.html#open={STACK}"),
    "page-dark": Picture("expert/report/index.html", height=900, dark=True),
    "page-phone": Picture(f"expert/report/index.html#open={STACK}", width=390, height=1300),
    "page-trials": Picture("trials/a/report/index.html#open=real/fold_pants/-/7000/-", height=900),
    "compare": Picture(f"idle-expert.html#open={HAND}", height=1150),
    "compare-trials": Picture("trials.html", height=800),
}


def main() -> int:
    if program() is None:
        sys.exit(MISSING)
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve() / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "trials").exists():
        score(folder / "trials")
    for command in (*RUNS.values(), *(["lingbot_eval", *report] for report in REPORTS)):
        module, *arguments = command
        subprocess.run([sys.executable, "-m", f"lingbot_eval.cli.{module}", *arguments], cwd=folder, check=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(Path(profile))
        for name, picture in PICTURES.items():
            take(browser, folder, picture, HERE / f"{name}.png")
        browser.close()
    return 0


def score(folder: Path) -> None:
    """Twenty trials of two methods at two tasks, of which a succeeds in three of four and b in one of two."""
    chance, seconds = np.random.default_rng(0), [0.0]
    rubrics = (load_rubric("fold_pants"), load_rubric("insert_tube"))
    plan = TrialPlan(rubrics, ("a", "b"), 20, "alternating", 7, "", "unstated")
    with TrialSession(folder, plan, operator="operator", clock=lambda: seconds[0]) as session:
        while (slot := session.current) is not None:
            session.start()
            seconds[0] += chance.uniform(30, 90)
            if chance.random() < {"a": 0.75, "b": 0.5}[slot.method]:
                session.success()
                continue
            for step in range(1, chance.integers(1, len(session.rubric.steps), endpoint=True)):
                session.step_reached(step)
            session.failure(str(chance.choice(["dropped", "missed grasp", "stuck"])))
        session.correct(
            1, who="operator", why="the video shows a hand", outcome=Outcome.FAILURE, reason="other", points=(1, 1, 0)
        )


def take(browser: Browser, folder: Path, picture: Picture, file: Path) -> None:
    browser.resize(picture.width, picture.height, picture.dark)
    browser.open(f"{folder.as_uri()}/{picture.address}")
    videos = "[...document.querySelectorAll('video')]"
    browser.wait(f"{videos}.every(video => video.readyState >= 1)")
    browser.look(f"{videos}.forEach(video => {{ video.controls = false; video.currentTime = 0.8 * video.duration; }})")
    browser.wait(f"{videos}.every(video => !video.seeking && video.readyState >= 2)")
    browser.look("scrollTo(0, 0)")
    browser.picture(file)
    with Image.open(file) as drawn:
        colours = drawn.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)  # a third of the size
    colours.save(file, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
