"""Read and write files that only grow, by one JSON object a line, and find changes in them.

    {"seed":3,"outcome":"solved","chain":"8d4f6a1c02b97e35"}

A line's checksum is over that of the line before and its own bytes, and is written as its last member. So a line that
was changed, moved, added or taken out is named, but for whole lines missing at the end, and but for somebody who
computes all checksums anew. Version 0.1.0 wrote none: such lines are read and counted, and their checksums go into
those of the lines after them all the same. Once a line of a file has one, all that follow must.

A line counts when it ends in a newline: it was written in one piece and flushed to disk before anybody was told. A last
one without was torn by a crash, and counts nowhere.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from lingbot_eval.errors import CorruptRecords
from lingbot_eval.files import DIGITS, opened, unreadable

LONGEST = 8 * 2**20
"""No line has more bytes; a record with a long traceback has some thousand."""

MEMBER = re.compile(rb',"chain":"([0-9a-f]{%d})"\}\n\Z' % DIGITS)

UNCHECKED = "version 0.1.0 wrote none, so nobody can tell whether they were changed"
"""This is said of files that have no checksums."""

T = TypeVar("T")


class LineReader(Generic[T]):
    """Gives ``file``'s lines as ``decode`` makes them, each time those that were added since the time before."""

    def __init__(self, file: Path, decode: Callable[[bytes], T], remedy: str = "restore the line") -> None:
        """``remedy`` says what to do about a line that cannot be read."""
        self.file = file
        self.bytes = self.lines = 0
        """So much was read until now."""
        self.bare = 0
        """So many lines, the first ones, have no checksum."""
        self.torn = 0
        """The torn last line had so many bytes at the last reading; 0 where there was none."""
        self.chain = b""
        """The last line has this checksum, whether or not it is written there; empty before the first."""
        self._decode, self._remedy = decode, remedy

    def added(self) -> Iterator[T]:
        """Yield the lines since the last reading. Raises FileNotFoundError, and CorruptRecords with file and line; what
        was given until then is read."""
        try:
            with opened(self.file) as stream:  # to open it is what makes an NFS client ask how long it is by now
                size = os.fstat(stream.fileno()).st_size
                if size < self.bytes:
                    raise CorruptRecords(f"{self.file} has {size} bytes, but had {self.bytes}: it was cut, or replaced")
                self.torn = 0
                if size == self.bytes:
                    return
                stream.seek(self.bytes)
                while line := stream.readline(LONGEST + 1):
                    if len(line) > LONGEST:
                        raise CorruptRecords(f"{self._place} is longer than {LONGEST >> 20} MiB; {self._remedy}")
                    if not line.endswith(b"\n"):
                        self.torn = len(line)
                        return
                    yield self._taken(line)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise unreadable(self.file, error) from None

    def torn_sentence(self, fate: str) -> list[str]:
        """Return a sentence about the torn last line, which ``fate`` ends; none where there is no such line."""
        return [f"{self.file}: the last line ({self.torn} bytes) is torn and {fate}"] if self.torn else []

    @property
    def _place(self) -> str:
        """Name the next line."""
        return f"{self.file}:{self.lines + 1}"

    def _taken(self, line: bytes) -> T:
        try:
            decoded = self._decode(line)
        except (ValueError, RecursionError) as error:
            words = " ".join(str(error).split())
            raise CorruptRecords(f"{self._place}: {words}; {self._remedy}") from None
        except CorruptRecords as error:
            raise CorruptRecords(f"{self._place} {error}") from None
        found = MEMBER.search(line, len(line) - MEMBER_LENGTH)
        chain = checksum(self.chain, line[: found.start()] + b"}" if found else line.removesuffix(b"\n"))
        if found and found[1] != chain:
            raise CorruptRecords(
                f"{self._place}: its checksum is {found[1].decode()}, but its content and the lines before it give "
                f"{chain.decode()}: this line was changed, or one before it was removed or added; {self._remedy}"
            )
        if not found and self.lines > self.bare:
            raise CorruptRecords(
                f"{self._place} has no checksum although lines before it have one: it was changed, or added, or "
                f"version 0.1.0 went on with what a newer one had begun; {self._remedy}"
            )
        self.bytes, self.lines, self.chain = self.bytes + len(line), self.lines + 1, chain
        self.bare += not found
        return decoded


class LineWriter:
    """Appends to ``file``, which nobody else writes."""

    def __init__(self, file: Path, after: LineReader[Any] | None = None) -> None:
        """Make a new file; or go on with the one that ``after`` has read whole: a torn last line is cut off.

        Raises OSError: FileExistsError for a new one that is there.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        self.file, self._chain = file, after.chain if after else b""
        self._place = os.path.abspath(file)  # wherever this process goes
        self._unsure = False
        """It is true while the last line may be there though :meth:`append` raised."""
        self._descriptor = os.open(file, flags if after else flags | os.O_EXCL, 0o666)  # but for the umask
        try:
            if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a file", str(file))
            if after and os.fstat(self._descriptor).st_size > after.bytes:
                os.ftruncate(self._descriptor, after.bytes)
        except BaseException:
            self.close()
            raise

    def append(self, encoded: bytes) -> None:
        """Append ``encoded``, a JSON object with members on one line; it is on disk when this returns.

        Raises OSError: where there was no room, or the file is not at its place, the line is not there at all, and the
        next one may be appended. Where it could not be flushed, or the file was moved meanwhile, it may be there, and
        somebody may have read it: it is not taken back, and nothing more is appended here. Who reads the file anew sees
        whether it is there, and goes on after that.
        """
        if self._unsure:
            raise OSError(
                errno.EIO, "the line before it may not be on disk; give the same command again", str(self.file)
            )
        chain = checksum(self._chain, encoded)
        data = memoryview(encoded[:-1] + b',"chain":"' + chain + b'"}\n')
        if len(data) > LONGEST:
            raise OSError(
                errno.EFBIG,
                f"a line of {len(data)} bytes is longer than the {LONGEST >> 20} MiB that are read back",
                str(self.file),
            )
        self._require_place()
        before, self._unsure = os.fstat(self._descriptor).st_size, True
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:  # of a full disk: half a line would spoil the next one
            os.ftruncate(self._descriptor, before)
            self._unsure = False
            raise
        os.fsync(self._descriptor)
        self._require_place()
        self._chain, self._unsure = chain, False

    def _require_place(self) -> None:
        """Raise OSError where the file is not at its place any more: nobody would find what is appended."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self._place), os.fstat(self._descriptor)):
                return
        raise FileNotFoundError(errno.ENOENT, "it was removed or moved while it was written", str(self.file))

    def close(self) -> None:
        os.close(self._descriptor)


def checksum(before: bytes, line: bytes) -> bytes:
    """Compute the checksum of ``line``, without newline and checksum, after a line that has ``before``."""
    return hashlib.sha256(before + line).hexdigest()[:DIGITS].encode()


MEMBER_LENGTH = len(b',"chain":""}\n') + DIGITS
