"""Where real data are looked for and where their cache lies."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def data_root(given: Path | str | None = None) -> Path:
    """The folder of real data: ``given``, else ``$BENCH_DATA``, else ``data`` here."""
    return Path(given or os.environ.get("BENCH_DATA") or "data").expanduser().absolute()


def cache_folder() -> Path:
    """The folder of cached tensors; it may be deleted at any time.

    ``$BENCH_CACHE``, else ``$XDG_CACHE_HOME/distillation-bench``, else
    ``~/.cache/distillation-bench``, else a folder in the temporary directory where there is no
    home that can be written.
    """
    if given := os.environ.get("BENCH_CACHE"):
        return Path(given).expanduser()
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "distillation-bench"
    home = os.environ.get("HOME") or os.environ.get("USERPROFILE")
    if home and _writable(Path(home) / ".cache"):
        return Path(home) / ".cache" / "distillation-bench"
    return Path(tempfile.gettempdir()) / "distillation-bench"


def _writable(folder: Path) -> bool:
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    return os.access(nearest, os.W_OK | os.X_OK)
