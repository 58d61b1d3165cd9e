"""A folder for one writer, beside the file that is to appear.

A writer that is killed leaves its folder behind, with whatever libraries put there under names of
their own. The lock in it dies with the process, so the next writer of the same file can tell, and
clears the folder for itself.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def workplace(path: Path) -> Iterator[Path]:
    """An empty folder beside ``path`` for as long as it is written; a second writer waits.

    Raises:
        OSError: the folder cannot be made, written or locked.
    """
    folder = path.with_name(f".{path.name}.part")
    lock = folder / ".lock"
    handle = _enter(folder, lock)
    try:
        _clear(folder, lock)  # of what a kill left
        yield folder
    finally:
        _clear(folder, lock)
        lock.unlink(missing_ok=True)  # from here on the folder may be another writer's
        with suppress(OSError):
            folder.rmdir()
        os.close(handle)


def _enter(folder: Path, lock: Path) -> int:
    """The handle of the lock, once it is ours and still the one in the folder."""
    while True:
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:  # its last writer has removed the folder this moment
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_at(handle, lock):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _clear(folder: Path, lock: Path) -> None:
    for left in folder.iterdir():
        if left != lock:
            left.unlink()
