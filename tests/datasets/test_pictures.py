"""Pictures are the same wherever a LeRobot dataset keeps them."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -e '.[export]'")

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from lingbot_eval.datasets.lerobot import LeRobot
from lingbot_eval.datasets.pictures import pictures
from lingbot_eval.errors import BadInput, NotReady
from tests.datasets.made import Made, picture, walk, write_21, write_30

CAMERA, SIZE = "observation.images.top", (48, 64)


def png(number: int, row: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture(number, 0, row, SIZE)).save(content, "png")
    return content.getvalue()


@pytest.fixture
def in_rows(tmp_path):
    """Two episodes in one file, with PNG files in its rows."""
    folder = write_30(tmp_path / "rows", [Made(walk(6, 3, 1)), Made(walk(5, 3, 2))], {CAMERA: SIZE})
    file = folder / "data" / "chunk-000" / "file-000.parquet"
    table = pq.read_table(file)
    places = [(number, row) for number, rows in enumerate((6, 5)) for row in range(rows)]
    column = [{"bytes": png(*place), "path": None} for place in places]
    pq.write_table(table.append_column(CAMERA, pa.array(column)), file)
    info = json.loads((folder / "meta" / "info.json").read_text())
    info["features"][CAMERA]["dtype"] = "image"
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    return LeRobot(folder)


def test_pictures_in_rows_are_those_of_the_episode_and_rows_asked_for(in_rows):
    assert in_rows.cameras() == [CAMERA]
    found = pictures(in_rows, in_rows.episodes[1], CAMERA, [0, 3, 3])
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.stack([picture(1, 0, row, SIZE) for row in (0, 3, 3)]))


def test_pictures_of_a_video_are_read_by_the_same_call(tmp_path):
    dataset = LeRobot(write_21(tmp_path / "film", [Made(walk(6, 3, 1))], {CAMERA: SIZE}))
    found = pictures(dataset, dataset.episodes[0], CAMERA, [1, 4])
    wanted = np.stack([picture(0, 0, row, SIZE) for row in (1, 4)])
    assert np.abs(found.astype(int) - wanted).max() < 12  # as far as h264 keeps colours


def test_what_has_no_pictures_is_refused(in_rows):
    one = in_rows.episodes[1]
    with pytest.raises(BadInput, match=r"no pictures of side \(it has: observation\.images\.top\)"):
        pictures(in_rows, one, "side", [0])
    with pytest.raises(BadInput, match="row 5 of episode 1 has no picture"):
        pictures(in_rows, one, CAMERA, [5])
    one.file.unlink()
    with pytest.raises(NotReady, match="is missing"):
        pictures(in_rows, one, CAMERA, [0])


def test_a_row_whose_bytes_are_no_picture_is_refused(in_rows):
    table = pq.read_table(in_rows.episodes[0].file)
    broken = [{"bytes": b"nothing", "path": None}] * table.num_rows
    column = table.column_names.index(CAMERA)
    pq.write_table(table.set_column(column, CAMERA, pa.array(broken)), in_rows.episodes[0].file)
    with pytest.raises(BadInput, match="row 2 is not a picture"):
        pictures(in_rows, in_rows.episodes[0], CAMERA, [2])
