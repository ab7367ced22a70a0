"""The README's film strip, drawn anew from runs that are played for it: python -m docs.pictures.strip FOLDER

The runs stay in FOLDER: tabletop's expert on one task, and LingBot-VA with random weights on another, whose imagination
is noise. On two cores the second takes about eight minutes, most of which go into decoding what was imagined.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import imageio
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lingbot_eval.models.lingbot_va.tiny import make_tiny
from lingbot_eval.videos import bar_height

HERE = Path(__file__).parent
MOMENTS = 6
WIDTH, HEIGHT = 200, 150
"""A picture of the strip, in pixels: the head camera's 320 x 240, smaller."""

GAP, LINE = 4, 24
"""Between pictures, and the height of a line of text, in pixels."""

INK, PAPER = (235, 235, 240), (24, 24, 28)


def main(folder: Path) -> None:
    tiny = folder / "tiny"
    if not tiny.exists():
        make_tiny(tiny)
    play("--tasks", "stack_two", "--agent", "expert", "--video", "on", "--out", folder / "expert")
    play("--tasks", "lift_block", "--agent", "lingbot-va", f"agent.checkpoint={tiny}", "--out", folder / "lingbot-va")
    [won] = looks(folder / "expert", rows=1)
    real, imagined = looks(folder / "lingbot-va", rows=2)
    titled = [
        ("The scripted expert stacks two blocks: success", won),
        ("LingBot-VA with random weights: what it saw", real),
        ("What it had imagined for the same moments: from random weights, noise", imagined),
    ]
    drawn(titled).quantize(256).save(HERE / "strip.png", optimize=True)


def play(*arguments: str | Path) -> None:
    command = ["lingbot_eval.cli.run_suite", "tabletop", "--episodes", "1", *map(str, arguments)]
    subprocess.run([sys.executable, "-m", *command], check=True)


def looks(run: Path, rows: int) -> list[list[Image.Image]]:
    """The head camera's pictures at moments that are evenly spaced over the run's one film, by row of the film."""
    [film] = run.glob("videos/*/*.mp4")
    reader = imageio.get_reader(film)
    chosen = np.linspace(0, reader.count_frames() - 1, MOMENTS).round().astype(int)
    frames = [np.asarray(reader.get_data(int(index))) for index in chosen]
    reader.close()
    row = len(frames[0]) // rows
    view = next(height for height in range(row, 0, -1) if height + bar_height(height) == row)
    return [[head(frame[(k + 1) * row - view : (k + 1) * row]) for frame in frames] for k in range(rows)]


def head(row: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Image.Image:
    """The first of the views that lie side by side, in the strip's size. Views are as wide as WIDTH : HEIGHT says."""
    first = row[:, : len(row) * WIDTH // HEIGHT]
    return Image.fromarray(first).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def drawn(rows: list[tuple[str, list[Image.Image]]]) -> Image.Image:
    """Each row is a line of text above its pictures."""
    width, height = GAP + MOMENTS * (WIDTH + GAP), GAP + len(rows) * (LINE + HEIGHT + GAP)
    strip = Image.new("RGB", (width, height), PAPER)
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(size=0.6 * LINE)
    for k, (title, pictures) in enumerate(rows):
        top = GAP + k * (LINE + HEIGHT + GAP)
        draw.text((2 * GAP, top + LINE / 2), title, INK, font, anchor="lm")
        for column, picture in enumerate(pictures):
            strip.paste(picture, (GAP + column * (WIDTH + GAP), top + LINE))
    return strip


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python -m docs.pictures.strip FOLDER")
    main(Path(sys.argv[1]))
