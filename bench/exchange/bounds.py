"""Bounds on files that strangers made, checked before anything is read into memory.

A synthetic set of K classes holds at most ``MAX_PER_CLASS`` images a class; a file that claims more
than such a set could need in float64 is refused, and so is anything above ``MAX_BYTES``.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from bench.errors import BadFile
from bench.specs import DatasetSpec

MAX_PER_CLASS = 10_000
"""Twice the images a class of CIFAR-10 has; the largest published budget is 1,000."""

MAX_BYTES = 8 * 2**30
OVERHEAD_BYTES = 64 * 2**20
"""What a file may hold beside images and labels: logs, accuracies, earlier runs of a small grid."""


def max_images(spec: DatasetSpec) -> int:
    """How many images a set of this dataset may hold."""
    return spec.num_classes * MAX_PER_CLASS


def max_bytes(spec: DatasetSpec) -> int:
    """How many bytes such a set could plausibly need, labels as logits, everything float64."""
    channels, height, width = spec.shape
    values = max_images(spec) * (channels * height * width + spec.num_classes)
    return min(MAX_BYTES, 8 * values + OVERHEAD_BYTES)


def check_bytes(path: Path, claimed: int, spec: DatasetSpec) -> None:
    """Refuse ``claimed`` bytes, on disk or unpacked, beyond :func:`max_bytes`.

    Raises:
        BadFile: it is more.
    """
    if claimed > max_bytes(spec):
        raise BadFile(
            f"{path} claims {claimed:,} bytes; a synthetic set of {spec.name} needs at most "
            f"{max_bytes(spec):,}. Give the file that holds the images alone."
        )


def check_file(path: Path, spec: DatasetSpec) -> Path:
    """Return ``path`` if it is a regular file of plausible size.

    Raises:
        BadFile: missing, not a regular file, empty or too large.
    """
    try:
        if not path.is_file():
            found = "is no regular file" if path.exists() else "does not exist"
            raise BadFile(f"{path} {found}.")
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise BadFile(f"{path} cannot be read: {error}.") from error
    if size == 0:
        raise BadFile(f"{path} is empty.")
    check_bytes(path, size, spec)
    return path


def check_inside(path: Path, folder: Path) -> Path:
    """Return ``path`` if it lies in ``folder`` once symbolic links are followed.

    A folder unpacked from a stranger's archive may hold links to anywhere.

    Raises:
        BadFile: it points outside, or in circles.
    """
    try:
        resolved = path.resolve(strict=True)
        if resolved.is_relative_to(folder.resolve(strict=True)):
            return path
    except (OSError, RuntimeError) as error:
        raise BadFile(f"{path} cannot be followed: {error}.") from error
    raise BadFile(f"{path} points outside {folder}; replace the link by the file itself.")


def check_zip(path: Path, spec: DatasetSpec, *, compressed: bool) -> None:
    """Refuse a zip archive that unpacks to more than a set could need.

    Args:
        path: the archive.
        spec: the dataset.
        compressed: whether entries may be compressed; where they may not, they cannot unpack to
            more than the file's own size.

    Raises:
        BadFile: broken, compressed where that is not allowed, or too large unpacked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise BadFile(f"{path} is a damaged archive: {error}.") from error
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not compressed and not stored:
        raise BadFile(f"{path} holds compressed entries, which torch.save never writes.")
    unpacked = sum(entry.file_size for entry in entries)
    if stored and unpacked > path.stat().st_size:
        raise BadFile(f"{path} is a damaged archive: its entries overlap.")
    check_bytes(path, unpacked, spec)
