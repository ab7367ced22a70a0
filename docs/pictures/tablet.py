"""The pictures of docs/trials.md, made anew from trials that are tapped for it: python -m docs.pictures.tablet

Needs a Chromium. Nobody's policy was measured.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

from PIL import Image

from lingbot_eval.trials import TrialPlan, TrialSession, load_rubric
from lingbot_eval.trials.server import Server
from tests.browser import MISSING, Browser, program

HERE = Path(__file__).parent
PLAN = TrialPlan((load_rubric("gm100_replace_paper_roll"),), ("a", "b"), 10, "blinded", 7, "AgileX", "unstated")


def main() -> int:
    if program() is None:
        sys.exit(MISSING)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        seconds = [0.0]
        folder = Path(temporary)
        with (
            TrialSession(folder / "trials", PLAN, operator="operator", clock=lambda: seconds[0]) as session,
            Server(session, port=0) as server,
        ):
            threading.Thread(target=server.serve_forever, daemon=True).start()
            browser = Browser(folder / "profile")
            score(session)
            seconds[0] += 71
            shoot(browser, server, "tablet", 760, 780)
            browser.click("#failure")
            keep(browser, "tablet-dark", 760, 780, dark=True)
            browser.click("#reason-2")
            browser.wait("document.getElementById('said').innerText.includes('missed grasp')")
            browser.click("#before summary")
            keep(browser, "tablet-phone", 390, 844)
            browser.close()
            server.shutdown()
    return 0


def score(session: TrialSession) -> None:
    """Two trials, and half of the third."""
    session.start()
    session.success()
    session.step_reached(1)
    session.failure("dropped")
    for step in (1, 2):
        session.step_reached(step)
    session.retry()


def shoot(browser: Browser, server: Server, name: str, width: int, height: int) -> None:
    browser.open(server.url)
    browser.wait("document.getElementById('clock') !== null")
    keep(browser, name, width, height)


def keep(browser: Browser, name: str, width: int, height: int, dark: bool = False) -> None:
    browser.resize(width, height, dark)
    file = HERE / f"{name}.png"
    browser.picture(file)
    with Image.open(file) as drawn:
        colours = drawn.convert("RGB").quantize(128)
    colours.save(file, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
