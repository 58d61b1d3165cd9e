"""What may befall a run: arranged by its own process before it begins.

- ``kill``: SIGKILL at a chosen operation on files (audit events and ``fsync``: between two of them
  nothing on the disk changes, except by the torn writes of :func:`tear_writes_at`);
- an errno's name: from that operation on nothing can be written (or, for ``EIO``, that one fails);
- ``vanish``: the file that is about to be opened there is gone;
- ``clock``: :func:`turn_the_clock_back`.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, ClassVar

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = frozenset({"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"})
LASTING = ("ENOSPC", "EROFS")


def tear_writes_at(limit_bytes: int) -> None:
    """Let the system cut off the write that takes a file beyond a size, and end this process."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))


class _Backwards(datetime):
    """A clock that goes back."""

    looks: ClassVar[int] = 0

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> _Backwards:
        cls.looks += 1
        return cls.fromtimestamp(_LATE - 3600 * cls.looks, tz)


_LATE = time.time()


def turn_the_clock_back() -> None:
    """Let the clock go back by an hour whenever this process looks."""
    for name, module in list(sys.modules.items()):
        if name.startswith("bench.") and vars(module).get("datetime") is datetime:
            vars(module)["datetime"] = _Backwards
    time.time = lambda: _Backwards.now().timestamp()
    time.time_ns = lambda: int(1e9 * time.time())


class Operations:
    """Counts what is done to files below a folder, and strikes at one of them.

    Attributes:
        folder: operations on files below it count.
        knock: what happens.
        at: at which operation, from 1.
        count: operations so far.
        folders: names of the folders in which they were.
        watched: whether they count now.
    """

    def __init__(self, folder: Path, knock: str, at: int) -> None:
        self.folder, self.knock, self.at = folder, knock, at
        self.count = 0
        self.folders: set[str] = set()
        self.watched = False

    def watch(self) -> None:
        """Begin to count."""
        self.watched = True
        sys.addaudithook(self._heard)
        os.fsync = self._synced(os.fsync)  # type: ignore[assignment]

    def _synced(self, fsync: Callable[[Any], None]) -> Callable[[Any], None]:
        def counted(handle: int) -> None:
            self._met(_opened(handle), True)
            fsync(handle)

        return counted

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.watched or (event != "open" and event not in CHANGES):
            return
        place = arguments[0]
        changes = event != "open" or bool(arguments[2] & WRITES)
        self._met(_opened(place) if isinstance(place, int) else Path(os.fsdecode(place)), changes)

    def _met(self, place: Path, changes: bool) -> None:
        if not place.absolute().is_relative_to(self.folder):
            return
        self.count += 1
        self.folders |= set(place.absolute().relative_to(self.folder).parts[:2])
        now = self.count == self.at
        if self.knock == "kill" and now:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.knock == "vanish" and now and place.is_file():
            place.unlink()
        lasting = self.knock in LASTING and changes and self.count >= self.at
        if lasting or (self.knock == "EIO" and now):
            number = getattr(errno, self.knock)
            raise OSError(number, os.strerror(number), str(place))


def _opened(handle: int) -> Path:
    return Path(f"/proc/self/fd/{handle}").readlink()
