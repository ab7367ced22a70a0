"""Each coordinator keeps a file and a heartbeat in the run directory, by which others see who plays there.

    sessions/<id>.json        how it was started; written by itself alone, again when it ends
    sessions/<id>.live.json   its heartbeat: a counter, and what each lane plays

No two clocks are compared. A coordinator is dead when its counter has stood still for LEASE_SECONDS of the observer's
own monotonic clock; at once where it says that it has ended, or where it ran on this machine and its process is gone.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from lingbot_eval import files
from lingbot_eval.errors import CorruptRecords, NotReady
from lingbot_eval.files import listed
from lingbot_eval.names import safe_name
from lingbot_eval.runs.directory import ELSEWHERE, LIVE, RunDirectory
from lingbot_eval.runs.lanes import Lanes, LaneState
from lingbot_eval.types import Provenance

T = TypeVar("T")

HEARTBEAT_SECONDS = 5.0

LEASE_SECONDS = 90.0
"""An NFS client may show a directory as it was a minute ago (acdirmax), and a busy server answers late."""


ID = re.compile(r"\d{8}T\d{6}-[A-Za-z0-9._-]+-\d+-[0-9a-f]{4}")
"""A coordinator's id says when it began (UTC), host and pid; the rest is chance."""


class Process(msgspec.Struct, frozen=True):
    """One process among all that ever ran; its strings are empty where there is no Linux to fill them."""

    boot: str
    """The machine has this id since it was started."""
    namespace: str
    """The pid is of this namespace: containers of one machine have their own."""
    pid: int
    began: str
    """It began then, in the kernel's clock ticks: a pid is given again."""


class Coordinator(msgspec.Struct, frozen=True):
    """A coordinator's file in ``sessions/``."""

    command: str
    host: str
    process: Process
    versions: dict[str, str]
    settings: dict[str, Any]
    to_play: int
    started: str
    """The time is UTC, in ISO 8601."""
    ended: str = ""
    """It is empty while the coordinator plays, and for ever where it was killed."""
    seconds: float | None = None
    """It played for so long, from start to end."""
    lanes: dict[int, LaneState] = {}
    """The lanes had done this at the end."""


class Heartbeat(msgspec.Struct):
    counter: int
    seconds: float
    """The coordinator has played for so long."""
    lanes: dict[int, LaneState]


class Presence:
    """Makes this process a coordinator in ``folder``, from ``with`` to its end; heartbeats come from a thread.

    Raises NotReady where nothing can be written.
    """

    def __init__(
        self, folder: RunDirectory, provenance: Provenance, settings: Mapping[str, Any], command: str, to_play: int
    ) -> None:
        self._folder = folder.path
        now = datetime.now(timezone.utc)
        self.id = f"{now:%Y%m%dT%H%M%S}-{safe_name(provenance.host)[:40]}-{os.getpid()}-{secrets.token_hex(2)}"
        started = now.isoformat(timespec="seconds")
        me = this_process()
        self._file = Coordinator(
            command, provenance.host, me, dict(provenance.versions), dict(settings), to_play, started
        )
        self._counter = 0
        self.lanes = Lanes()
        """Whoever hands out episodes tells them; every heartbeat says what they do."""
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)

    @property
    def tmp(self) -> Path:
        """Name the folder for temporary files of the processes that this coordinator starts."""
        return self._folder / "tmp" / self.id

    def __enter__(self) -> Presence:
        try:
            for name in ("sessions", "claims"):
                (self._folder / name).mkdir(exist_ok=True)
            self._write(self._file)
            self.tmp.mkdir(parents=True)
            self._beat()
        except OSError as error:
            raise files.unwritable(self._folder, error, ELSEWHERE) from None
        self._heart.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._heart.join()
        shutil.rmtree(self.tmp, ignore_errors=True)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        seconds, lanes = round(self.lanes.seconds, 1), self.lanes.states()
        with contextlib.suppress(OSError):  # a full disk: whoever looks sees that this process is gone
            self._write(msgspec.structs.replace(self._file, ended=now, seconds=seconds, lanes=lanes))
            self._live.unlink(missing_ok=True)

    def require_folder(self) -> None:
        """Raises NotReady where the run directory is there no more."""
        if not (self._folder / "sessions" / f"{self.id}.json").exists():
            raise NotReady(f"{self._folder} is gone: it was removed or moved while this run-suite played in it")

    @property
    def _live(self) -> Path:
        return self._folder / "sessions" / f"{self.id}{LIVE}"

    def _write(self, coordinator: Coordinator) -> None:
        content = files.with_checksum(msgspec.to_builtins(coordinator))
        files.write_whole(self._folder / "sessions" / f"{self.id}.json", content)

    def _beat_on(self) -> None:
        while not self._over.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full disk; the records' writers say so
                self._beat()

    def _beat(self) -> None:
        self._counter += 1
        files.write_whole(
            self._live, msgspec.json.encode(Heartbeat(self._counter, self.lanes.seconds, self.lanes.states()))
        )


class Life(Enum):
    """It says whether a coordinator plays."""

    PLAYS = "plays"
    UNKNOWN = "unknown"
    """It runs elsewhere, and its heart has not been seen to beat."""
    ENDED = "ended"
    DIED = "died"
    """It never said that it ended."""


class Watch:
    """Tells dead coordinators of ``folder`` from those that play."""

    def __init__(self, folder: RunDirectory, lease: float = LEASE_SECONDS) -> None:
        self._folder, self._lease = folder.path / "sessions", lease
        self._seen: dict[str, tuple[int, float]] = {}
        """A coordinator (id) had this counter when it was last read, and was first seen with it at this time."""
        self._beating: set[str] = set()
        """The counters of these have moved."""

    def dead(self, id: str) -> bool:
        """Tell whether it will record nothing more.

        Raises CorruptRecords for a coordinator's file that cannot be read.
        """
        return self.life(id) in (Life.ENDED, Life.DIED)

    def life(self, id: str) -> Life:
        """Tell whether it plays, as far as can be seen from here. Raises as :meth:`dead`."""
        coordinator = self.coordinator(id)
        if coordinator is not None and coordinator.ended:
            return Life.ENDED
        if coordinator is not None and gone(coordinator.process):
            return Life.DIED
        heartbeat = self.heartbeat(id)
        counter = -1 if heartbeat is None else heartbeat.counter  # it has not begun, or its end is not visible yet
        now = time.monotonic()
        known, since = self._seen.get(id, (None, now))
        if counter != known:
            self._seen[id] = (counter, now)
            if known is not None:
                self._beating.add(id)
        elif now - since >= self._lease:
            return Life.DIED
        here = coordinator is not None and _ran_here(coordinator.process)
        return Life.PLAYS if here or id in self._beating else Life.UNKNOWN

    def coordinator(self, id: str) -> Coordinator | None:
        """Read its file; None where there is none, or none any more."""
        return self._read(f"{id}.json", Coordinator)

    def heartbeat(self, id: str) -> Heartbeat | None:
        return self._read(f"{id}{LIVE}", Heartbeat)

    def _read(self, name: str, kind: type[T]) -> T | None:
        file = self._folder / name
        if (content := files.read(file)) is None:
            return None
        try:
            return msgspec.convert(files.parsed(content, file), kind, str_keys=True)
        except msgspec.ValidationError as error:
            raise CorruptRecords(f"{file}: {error}; delete it if that run-suite is over") from None


def sweep(folder: RunDirectory, watch: Watch) -> None:
    """Remove the temporary files of dead coordinators of this run: folders that bear the name of one, and nothing that
    is reached through a link."""
    tmp = folder.path / "tmp"
    for left in [] if tmp.is_symlink() else listed(tmp):
        ours = ID.fullmatch(left.name) and left.is_dir() and not left.is_symlink() and watch.coordinator(left.name)
        if ours and watch.dead(left.name):
            shutil.rmtree(left, ignore_errors=True)


def this_process() -> Process:
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return Process(_read("/proc/sys/kernel/random/boot_id"), namespace, os.getpid(), _began(os.getpid()))


def gone(process: Process) -> bool:
    """Tell whether it ran here and has ended; False for all that this machine cannot tell."""
    if not _ran_here(process):
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's, and /proc may hide those (hidepid)
        return _began(process.pid) not in ("", process.began)
    return _began(process.pid) != process.began


def _ran_here(process: Process) -> bool:
    here = this_process()
    return bool(here.boot and here.namespace) and (here.boot, here.namespace) == (process.boot, process.namespace)


def _began(pid: int) -> str:
    """Say when the process began; nothing where it is not running."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()  # proc(5), from the third field on
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


def _read(file: str) -> str:
    try:
        return Path(file).read_text().strip()
    except (OSError, ValueError):
        return ""
