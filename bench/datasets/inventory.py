"""What is known about datasets without loading them, and whether what is stored still holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.datasets.cache import Slot, as_tensors, part_checksum
from bench.datasets.dataset import Part, Reading
from bench.datasets.sources import Registered, Source, common_path, locate, require_files
from bench.errors import BadFile
from bench.files import digest


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known about a dataset without loading it.

    Attributes:
        name: the name that tables show.
        path: where it is read from, or where it was looked for.
        present: whether the source is there.
        cached: whether a cache entry fits the source as it is now.
        train_count: training images, where known.
        test_count: test images, where known.
        checksum: SHA-256 over pixels and labels of both parts, once it has been read.
        published: the checksum that its data have as published, where known.
        missing: why it is not present and how to get it.
    """

    name: str
    path: Path
    present: bool
    cached: bool
    train_count: int | None
    test_count: int | None
    checksum: str | None
    published: str | None
    missing: str | None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "path": str(self.path)}


def facts(name: str, data_root: Path | str | None = None) -> Facts:
    """Look a dataset up; torch is not imported and no image is read.

    Raises:
        UnknownName: no such dataset.
    """
    source = locate(name, data_root)
    files = source.files()
    entry = Slot(source, files).find() if files else None
    counts = (entry.counts["train"], entry.counts["test"]) if entry else _published_counts(source)
    return Facts(
        name=source.name,
        path=common_path(files) if files else source.root,
        present=bool(files),
        cached=entry is not None,
        train_count=counts[0],
        test_count=counts[1],
        checksum=entry.checksum if entry else None,
        published=_published_checksum(source),
        missing=None if files else source.missing(),
    )


def _published_counts(source: Source) -> tuple[int, int] | tuple[None, None]:
    if isinstance(source, Registered):
        return source.dataset.train_count, source.dataset.test_count
    return None, None


def _published_checksum(source: Source) -> str | None:
    return source.dataset.checksum if isinstance(source, Registered) else None


@dataclass(frozen=True, kw_only=True)
class Verification:
    """A dataset read anew and compared with what is known about it.

    Attributes:
        name: the name that tables show.
        checksum: as read now; ``None`` if it cannot be read.
        problems: one sentence for each contradiction; none if all is well.
    """

    name: str
    checksum: str | None
    problems: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def verify(name: str, data_root: Path | str | None = None) -> Verification:
    """Read a dataset from its source and compare counts and checksums, published and cached.

    What is sound and was not cached yet is cached for the runs to come.

    Raises:
        UnknownName: no such dataset.
        MissingData: it is not on this machine.
    """
    source = locate(name, data_root)
    slot = Slot(source, require_files(source))
    try:
        reading = source.read()
        checksum = _checksum(reading)
    except BadFile as error:
        return Verification(name=source.name, checksum=None, problems=(str(error),))
    problems = [*_published_problems(source, checksum), *_cache_problems(slot, checksum)]
    if not problems and slot.find() is None:
        slot.build(reading)
    return Verification(name=source.name, checksum=checksum, problems=tuple(problems))


def _checksum(reading: Reading) -> str:
    def of(part: Part) -> str:
        return part_checksum(*as_tensors(part))

    return digest({"train": of(reading.train), "test": of(reading.test)})


def _published_problems(source: Source, checksum: str) -> list[str]:
    published = _published_checksum(source)
    if published in (None, checksum):
        return []
    return [
        f"The images or labels differ from the published ones (checksum {published}); "
        f"get the dataset anew."
    ]


def _cache_problems(slot: Slot, checksum: str) -> list[str]:
    entry = slot.find()
    if entry is None:
        return []
    if entry.checksum != checksum:
        return [f"The cache differs from the source; delete {slot.folder}."]
    return slot.damage(entry)
