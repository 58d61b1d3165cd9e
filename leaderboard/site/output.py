"""A site on disk: written where it differs, and what an earlier build left removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from bench.errors import BadFile, InvalidValue, StoreError

MANIFEST = "site-files.txt"
"""Lists every file of a site, so that the next build knows which of them are its own."""


def write(files: Mapping[str, bytes], folder: Path) -> int:
    """Make ``folder`` hold exactly these files; return how many had to be written.

    Args:
        files: contents by address from the site's root.
        folder: a new or empty folder, or one that an earlier build filled.

    Raises:
        InvalidValue: the folder holds other things than a site.
        StoreError: it cannot be written.
    """
    wanted = dict(files) | {MANIFEST: _manifest(files)}  # the manifest last
    try:
        earlier = _earlier(folder)
        changed = [name for name, content in wanted.items() if not _holds(folder / name, content)]
        if changed:  # first of all, so that what a kill leaves is known for a site
            _put(folder / MANIFEST, _manifest((earlier | wanted.keys()) - {MANIFEST}))
        for name in earlier - wanted.keys():
            (folder / name).unlink(missing_ok=True)
        for name in dict.fromkeys([*changed, MANIFEST]) if changed else ():
            _put(folder / name, wanted[name])
    except OSError as error:
        raise StoreError(
            f"The site cannot be written to {folder}: {error.strerror or error}. "
            f"Choose a folder that you may write."
        ) from error
    return len(changed)


def _manifest(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in sorted(names)).encode()


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _earlier(folder: Path) -> set[str]:
    """Files of an earlier build."""
    manifest = folder / MANIFEST
    if manifest.is_file():
        names = manifest.read_text(encoding="utf-8", errors="replace").splitlines()
        for name in names:
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise BadFile(f"{manifest} names {name!r}, which is outside the site.")
        return {*names, MANIFEST}
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidValue(
            f"{folder} holds other files than a site made by this command; "
            f"choose a new or an empty folder."
        )
    return set()


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content
