"""Read LIBERO's stored initial states without executing what is in the file.

A ``.pruned_init`` is a zip whose ``data.pkl`` pickles one plain float64 array. Unpickling would run whatever the file
names, so the opcodes are compared with the only sequence that such an array produces, and the numbers are read out.
"""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lingbot_eval.errors import NotReady

_MEMO = {"BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "PROTO"}
_ANY = object()
_ARRAY = [
    ("GLOBAL", "numpy.core.multiarray _reconstruct"), ("GLOBAL", "numpy ndarray"), ("BININT1", 0), ("TUPLE1", None),
    ("GLOBAL", "_codecs encode"), ("BINUNICODE", "b"), ("BINUNICODE", "latin1"), ("TUPLE2", None), ("REDUCE", None),
    ("TUPLE3", None), ("REDUCE", None), ("MARK", None), ("BININT1", 1), ("ROWS", _ANY), ("COLUMNS", _ANY),
    ("TUPLE2", None), ("GLOBAL", "numpy dtype"), ("BINUNICODE", "f8"), ("NEWFALSE", None), ("NEWTRUE", None),
    ("TUPLE3", None), ("REDUCE", None), ("MARK", None), ("BININT1", 3), ("BINUNICODE", "<"), ("NONE", None),
    ("NONE", None), ("NONE", None), ("BININT", -1), ("BININT", -1), ("BININT1", 0), ("TUPLE", None), ("BUILD", None),
    ("NEWFALSE", None), ("BINUNICODE", _ANY), ("TUPLE2", None), ("REDUCE", None), ("TUPLE", None), ("BUILD", None),
    ("STOP", None),
]  # fmt: skip


def load_states(path: Path) -> npt.NDArray[np.float64]:
    """Return (states, width): each row is MuJoCo's time, then qpos, then qvel, as ``MjSimState.flatten`` orders them.

    Raises NotReady when the file is missing or holds anything but one float64 array.
    """
    if not path.is_file():
        raise NotReady(f"no initial states at {path}; reinstall hf-libero, whose wheel holds them")
    try:
        with zipfile.ZipFile(path) as archive:
            (member,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            ops = [(op.name, arg) for op, arg, _ in pickletools.genops(archive.read(member)) if op.name not in _MEMO]
    except (ValueError, zipfile.BadZipFile) as error:
        raise NotReady(f"{path} is not a file of initial states: {error}") from None
    return _array(ops, path)


def _array(ops: list[tuple[str, object]], path: Path) -> npt.NDArray[np.float64]:
    numbers = []
    if len(ops) != len(_ARRAY):
        raise NotReady(f"{path} holds more or less than one float64 array; refusing to unpickle it")
    for position, ((name, arg), (expected, value)) in enumerate(zip(ops, _ARRAY, strict=True)):
        if expected in ("ROWS", "COLUMNS") and name.startswith("BININT"):
            numbers.append(int(str(arg)))
        elif name != expected or (value is not _ANY and arg != value):
            raise NotReady(f"{path} holds something else than one float64 array (opcode {position}: {name} {arg!r})")
    rows, columns = numbers
    data = max((arg for name, arg in ops if name == "BINUNICODE"), key=lambda text: len(str(text)))
    return np.frombuffer(str(data).encode("latin1"), "<f8").reshape(rows, columns).copy()
