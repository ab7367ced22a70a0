"""Put pictures side by side under a title, and one after another into an mp4."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import imageio
import imageio_ffmpeg
import numpy as np
from PIL import Image as Canvas
from PIL import ImageDraw, ImageFont, UnidentifiedImageError

from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.files import placed, scratch
from lingbot_eval.names import video_name
from lingbot_eval.types import Episode, Image, Outcome


def mp4(path: Path, rate: float) -> Any:
    """Return a writer with ``append_data(picture)`` and ``close()``; ``rate`` is in pictures per second."""
    return imageio.get_writer(path, fps=rate, macro_block_size=2, quality=7)


def data_mp4(path: Path, rate: int) -> Any:
    """Return a writer as :func:`mp4` does, of a video to be trained on: picture n is at exactly n / rate seconds,
    nothing is lost that can be seen, and every second picture is a key frame, as LeRobot has it, so that each is found
    at once."""
    params = ["-crf", "18", "-g", "2", "-bf", "0"]
    return imageio.get_writer(path, fps=rate, macro_block_size=2, quality=None, output_params=params)


def pictures_at(file: Path, numbers: Sequence[int], rate: float) -> Image:
    """Return (T, H, W, 3): the pictures of these ``numbers``, which rise or stay, of a video that has ``rate`` pictures
    per second; what lies before the first is skipped at once.

    Raises NotReady for a file that is missing, BadInput for one that cannot be read or has fewer pictures.
    """
    if not file.is_file():
        raise NotReady(f"{file} is missing")
    first, wanted = numbers[0], set(numbers)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-threads", "1"]
    command += ["-ss", f"{(first - 0.5) / rate:.6f}"] if first else []
    command += ["-i", str(file), "-fps_mode", "passthrough", "-frames:v", str(numbers[-1] - first + 1)]
    command += ["-f", "image2pipe", "-c:v", "ppm", "-"]  # which says its size
    with tempfile.TemporaryFile() as words:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words) as process:
            frames = enumerate(_ppms(process.stdout), start=first) if process.stdout else ()
            found = {number: frame for number, frame in frames if number in wanted}
        if not found:
            words.seek(0)
            said = " ".join(words.read(2000).decode(errors="replace").split())
            raise BadInput(f"{file} cannot be read as a video from picture {first} on: {said or 'it ends before'}")
    if missing := sorted(wanted - found.keys()):
        raise BadInput(f"{file} has no picture {missing[0]} (counted from 0; rows and pictures must be as many)")
    return np.stack([found[number] for number in numbers])


def _ppms(stream: IO[bytes]) -> Iterator[Image]:
    """Return the pictures of a stream, one after another."""
    while stream.readline() == b"P6\n":
        width, height = map(int, stream.readline().split())
        stream.readline()  # the largest value, 255
        content = stream.read(width * height * 3)
        if len(content) == width * height * 3:
            yield np.frombuffer(content, np.uint8).reshape(height, width, 3)


class Film:
    """An episode's mp4, which grows as a temporary file (in $TMPDIR) and gets its place at the end."""

    def __init__(self, folder: Path, rate: float) -> None:
        self._folder, self._rate = folder, rate
        self._part = scratch("film.mp4")
        self._writer: Any = None

    def add(self, picture: Image) -> None:
        if self._writer is None:
            self._writer = mp4(self._part, self._rate)
        self._writer.append_data(picture)

    def save(self, episode: Episode, outcome: Outcome) -> None:
        """Name it ``<folder>/<task>/<stem>-<outcome>.mp4``; do nothing where no picture was added."""
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        target = self._folder / video_name(episode, outcome)
        target.parent.mkdir(parents=True, exist_ok=True)
        placed(self._part, target)

    def drop(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._part.unlink(missing_ok=True)


def read_picture(file: Path | IO[bytes], name: str = "") -> Image:
    """Return a picture, of any kind that Pillow reads, as RGB; ``name`` says what it is where it is no file.

    Raises BadInput.
    """
    name = name or str(file)
    try:
        with Canvas.open(file) as picture:
            return np.array(picture.convert("RGB"))
    except UnidentifiedImageError:
        raise BadInput(f"{name} is not a picture") from None
    except OSError as error:
        raise BadInput(f"cannot read the picture {name}: {error.strerror or error}") from None
    except (ValueError, SyntaxError, Canvas.DecompressionBombError) as error:
        raise BadInput(f"cannot read the picture {name}: {error}") from None


def beside(views: Sequence[Image]) -> Image:
    """Return (H, sum of W, 3): the views in a row, enlarged by a whole number to at least 256 rows, shorter ones
    padded."""
    factor = _factor(views)
    height = factor * max(len(view) for view in views)
    enlarged = [view.repeat(factor, 0).repeat(factor, 1) for view in views]
    return np.concatenate([np.pad(view, ((0, height - len(view)), (0, 0), (0, 0))) for view in enlarged], axis=1)


def _factor(views: Sequence[Image]) -> int:
    return max(1, -(-256 // max(len(view) for view in views)))


def bar_height(rows: int) -> int:
    """Return the height of the title above so many rows; it is even, as an mp4 wants it."""
    return 2 * (rows // 18)


def titled(title: str, views: Mapping[str, Image], note: str = "") -> Image:
    """Return (bar + H, sum of W, 3): :func:`beside`, under a bar with the title and each view's name; the note at its
    end."""
    row = beside(list(views.values()))
    height = bar_height(len(row))
    bar = Canvas.new("RGB", (row.shape[1], height), (24, 24, 28))
    draw, font = ImageDraw.Draw(bar), ImageFont.load_default(size=height * 0.54)
    left, factor = 0, _factor(list(views.values()))
    for name, view in views.items():
        draw.text((left + 8, height / 2), f"{title}: {name}", (255, 255, 255), font, anchor="lm")
        left += factor * view.shape[1]
    draw.text((left - 8, height / 2), note, (255, 205, 90), font, anchor="rm")
    return np.concatenate([np.asarray(bar), row])


def resized(view: Image, like: Image) -> Image:
    """Return ``view`` in the size of ``like``, bilinear."""
    if view.shape == like.shape:
        return view
    height, width = like.shape[:2]
    return np.asarray(Canvas.fromarray(view).resize((width, height), Canvas.Resampling.BILINEAR))
