from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.errors import CorruptRecords, NotReady
from lingbot_eval.training import state
from lingbot_eval.training.ranks import Ranks

ALONE = Ranks(0, 1, 1, torch.device("cpu"))


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"weights.a": torch.full((3, 4), value), "first.a": torch.full((3, 4), value / 7)}


def test_a_state_is_read_back_bit_for_bit_and_two_are_kept(tmp_path):
    for step in (5, 10, 15):
        state.save(tmp_path / "state", step, 2 * step, tensors(step / 3), ALONE)
    newest, before = state.saved(tmp_path / "state")
    assert (newest.step, newest.lines, before.step) == (15, 30, 10)
    found = tensors(0.0)
    state.load(newest, found)
    assert all(torch.equal(found[name], value) for name, value in tensors(5.0).items())


def test_what_a_killed_process_left_is_no_state_and_goes(tmp_path):
    for name in (".step-00000005.part", ".step-00000005.old"):
        left = tmp_path / "state" / name
        left.mkdir(parents=True)
        (left / "half.safetensors").write_bytes(b"half")
    assert state.saved(tmp_path / "state") == []
    state.save(tmp_path / "state", 10, 10, tensors(1.0), ALONE)
    assert [one.name for one in (tmp_path / "state").iterdir()] == ["step-00000010"]


def test_killed_while_it_removes_an_old_state_it_goes_on_from_the_newest(tmp_path):
    for step in (5, 10):
        state.save(tmp_path, step, step, tensors(1.0), ALONE)
    process = multiprocessing.get_context("spawn").Process(target=_save_and_die_removing, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert [one.step for one in state.saved(tmp_path)] == [15, 10]


def _save_and_die_removing(folder: Path) -> None:
    removed = []

    def die(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.remove":
            removed.append(arguments)
            if len(removed) == 2:
                os._exit(9)

    sys.addaudithook(die)
    state.save(folder, 15, 15, tensors(1.0), ALONE)


def test_a_state_that_was_cut_is_named(tmp_path):
    state.save(tmp_path, 5, 5, tensors(1.0), ALONE)
    (file,) = (tmp_path / "step-00000005").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CorruptRecords, match=r"had .*; remove"):
        state.saved(tmp_path)


def test_a_state_of_another_model_is_refused_in_a_line(tmp_path):
    state.save(tmp_path, 5, 5, tensors(1.0), ALONE)
    with pytest.raises(CorruptRecords) as raised:
        state.load(state.saved(tmp_path)[0], {"weights.b": torch.zeros(2)})
    assert "\n" not in str(raised.value)


def test_without_room_the_state_before_is_kept(tmp_path):
    state.save(tmp_path, 5, 5, tensors(1.0), ALONE)
    process = multiprocessing.get_context("spawn").Process(target=_save_without_room, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert [one.step for one in state.saved(tmp_path)] == [5]
    assert [one.name for one in tmp_path.iterdir()] == ["step-00000005"]


def _save_without_room(folder: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing raises instead
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    with pytest.raises(NotReady, match=r"cannot write .*step-00000010: .*File too large"):
        state.save(folder, 10, 10, {"weights.a": torch.zeros(1000)}, ALONE)
