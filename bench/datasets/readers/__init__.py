"""One module a layout on disk. Nothing that is read is ever extracted, or unpickled freely."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def all_or_none(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The paths if every one of them is a file, else none."""
    listed = tuple(paths)
    return listed if all(path.is_file() for path in listed) else ()
