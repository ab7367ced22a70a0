from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lingbot_eval.envs.libero.assets import libero_root
from lingbot_eval.envs.libero.states import load_states
from lingbot_eval.envs.libero.tasks import STORED_STATES, SUITES
from lingbot_eval.errors import NotReady


class Evil:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def pickled(path: Path, content: object) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
    return path


def test_every_stored_state_is_what_unpickling_gives() -> None:
    pytest.importorskip("mujoco", reason="the libero extra is not installed")
    for suite, tasks in SUITES.items():
        for task in tasks:
            path = libero_root() / "init_files" / suite / f"{task}.pruned_init"
            with zipfile.ZipFile(path) as archive:
                theirs = pickle.loads(archive.read("archive/data.pkl"))  # noqa: S301  # the wheel's own file
            ours = load_states(path)
            assert ours.shape[0] == STORED_STATES
            np.testing.assert_array_equal(ours, theirs)


def test_a_file_that_would_run_something_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    with pytest.raises(NotReady, match=r"refusing to unpickle|something else"):
        load_states(pickled(tmp_path / "evil.pruned_init", Evil(trap)))
    assert not trap.exists()


@pytest.mark.parametrize("content", [[1.0, 2.0], np.zeros((2, 3), np.float32), np.zeros(4), "states"])
def test_anything_but_one_table_of_doubles_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(NotReady):
        load_states(pickled(tmp_path / "other.pruned_init", content))


def test_no_file_and_no_zip_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="no initial states"):
        load_states(tmp_path / "absent.pruned_init")
    (tmp_path / "text.pruned_init").write_text("hello")
    with pytest.raises(NotReady, match="not a file of initial states"):
        load_states(tmp_path / "text.pruned_init")
