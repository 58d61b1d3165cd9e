"""Append-only files of JSON lines: what was appended once stays, whatever kills the writer."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import IO

from bench.errors import BadFile, StoreError

MAX_LINE_BYTES = 4 * 2**20
"""A longer line is none of ours, and is not read into memory."""


def append_line(path: Path, line: str) -> None:
    """Append one line (or several) durably; what a kill left of the last one is cut off first.

    Writers of one file wait for each other.

    Raises:
        StoreError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)  # until the file is closed
            _end_on_a_line(stream)
            stream.write(line.encode())
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise StoreError(
            f"Cannot append to {path}: {error.strerror or error}. "
            f"Free space or choose a store that you may write."
        ) from error


def _end_on_a_line(stream: IO[bytes]) -> None:
    """Cut off a torn last line; one that only lacks its newline (an editor's doing) gets it."""
    size = stream.seek(0, os.SEEK_END)
    end = _end_of_last_line(stream.fileno(), size)
    if end == size:
        return
    if _is_whole(os.pread(stream.fileno(), size - end, end)):
        stream.write(b"\n")
    else:
        stream.truncate(end)


def _end_of_last_line(handle: int, size: int) -> int:
    start = size
    while start > 0:
        block = min(start, 65536)
        start -= block
        newline = os.pread(handle, block, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
    return 0


def _is_whole(line: bytes) -> bool:
    """Whether a line without its newline is complete: no mere beginning of an object parses."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers: an overlong one is cut, a torn last one (being written) left out.

    Raises:
        BadFile: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            for number in count(1):
                line = stream.readline(MAX_LINE_BYTES)
                if len(line) == MAX_LINE_BYTES:
                    _skip_rest(stream, line)
                elif not line.endswith(b"\n") and not _is_whole(line):
                    return
                if line.strip():
                    yield number, line
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror or error}.") from error


def _skip_rest(stream: IO[bytes], part: bytes) -> None:
    """Read on to the end of the line that ``part`` belongs to."""
    while part and not part.endswith(b"\n"):
        part = stream.readline(MAX_LINE_BYTES)
