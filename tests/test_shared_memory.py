"""What is written into shared memory is what is read, or nothing is written."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from lingbot_eval.agents.shared_frames import SharedFrames
from lingbot_eval.shared_memory import SharedObservation, anonymous_memory
from lingbot_eval.types import EnvSpec, Observation, columns

SPEC = EnvSpec(
    cameras={"head": (4, 6)},
    columns=columns("push", "1"),
    low=(-1.0,),
    high=(1.0,),
    state=(*columns("x", "1"), *columns("speed", "1")),
    commands_per_second=30.0,
    commands_per_action=1,
    idle=(0.0,),
)
PICTURE = np.full((4, 6, 3), 200, np.uint8)
STATE = np.array([1, 2], np.float32)


def look(picture=PICTURE, state=STATE, name="head") -> Observation:
    return {"images": {name: picture}, "state": state}


@pytest.fixture
def descriptor() -> Iterator[int]:
    one = anonymous_memory()
    yield one
    os.close(one)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (look(np.full((4, 6, 1), 0.9)), r"picture head: float64 \(4, 6, 1\), not uint8 \(4, 6, 3\)"),
        (look(np.full((4, 6, 3), 0.9)), r"picture head: float64 \(4, 6, 3\), not uint8 \(4, 6, 3\)"),
        (look(PICTURE[:, :, 0]), r"picture head: uint8 \(4, 6\), not uint8 \(4, 6, 3\)"),
        (look(state=STATE[:1]), r"state: float32 \(1,\), not float32 \(2,\)"),
        (look(state=STATE.astype(np.float64)), r"state: float64 \(2,\), not float32 \(2,\)"),
        (look(state=[1.0, 2.0]), r"state: list, not float32 \(2,\)"),
        (look(name="wrist"), r"pictures of \['wrist'\], not of \['head'\]"),
    ],
)
def test_an_observation_that_does_not_look_as_specified_is_refused(descriptor, wrong, words):
    observation, frames = SharedObservation(descriptor, SPEC), SharedFrames(descriptor, SPEC)
    with pytest.raises(ValueError, match=words):
        observation.write(wrong)
    with pytest.raises(ValueError, match=words):
        frames.write([wrong])


def test_a_picture_for_a_person_is_one_of_bytes(descriptor):
    shared = SharedObservation(descriptor, SPEC)
    with pytest.raises(ValueError, match="picture: float64"):
        shared.write_picture(np.full((4, 6, 3), 0.9))
    with pytest.raises(ValueError, match=r"picture: uint8 \(4, 6\)"):
        shared.write_picture(PICTURE[:, :, 0])
    shared.write_picture(PICTURE)
    np.testing.assert_array_equal(shared.read_picture((4, 6, 3)), PICTURE)
