"""Datasets as memory-mapped tensors: read once from their source, then from the cache.

An entry is a folder with ``train.safetensors``, ``test.safetensors`` and ``facts.json``. Its
fingerprint is taken of every source file's path, size and time of change, so that a changed source
is read anew; each file carries its own checksum, so that a damaged one is noticed and rebuilt.
Comparing that checksum on each load costs one pass of SHA-256, 0.1 to 0.3 s for 150 MB.
Two processes may build one entry at once: every file appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.datasets.dataset import Part, Reading
from bench.datasets.locations import cache_folder
from bench.errors import BadFile, InvalidValue
from bench.files import (
    canonical_json,
    digest,
    load_tensors,
    read_json,
    save_tensors,
    tensors_digest,
    write_text,
)
from bench.specs import DatasetSpec

if TYPE_CHECKING:
    from torch import Tensor

    from bench.datasets.sources import Source

PartName = Literal["train", "test"]
PARTS: tuple[PartName, ...] = ("train", "test")

FORMAT = 1
"""Part of every fingerprint; to be raised when a reader comes to return something else."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """What ``facts.json`` of a valid cache entry says; reading it needs no torch.

    Attributes:
        fingerprint: of the source at the time of reading.
        spec: the dataset.
        counts: images of each part.
        sha256: of pixels and labels of each part.
    """

    fingerprint: str
    spec: DatasetSpec
    counts: Mapping[PartName, int]
    sha256: Mapping[PartName, str]

    @property
    def checksum(self) -> str:
        """SHA-256 of both parts' checksums: one name for one dataset."""
        return digest(dict(self.sha256))

    @classmethod
    def from_json(cls, value: Any) -> Entry:
        """Rebuild an entry.

        Raises:
            BadFile: the value is no entry.
        """
        try:
            given = value["spec"]
            tuples = {key: tuple(given[key]) for key in ("classes", "mean", "std")}
            spec = DatasetSpec(**{**given, **tuples})
            counts = {part: int(value["counts"][part]) for part in PARTS}
            sha256 = {part: str(value["sha256"][part]) for part in PARTS}
            return cls(str(value["fingerprint"]), spec, counts, sha256)
        except (KeyError, TypeError, ValueError, InvalidValue) as error:
            raise BadFile(f"The facts of a cache entry are incomplete ({error}).") from error


@dataclass(frozen=True, eq=False)
class Stored:
    """One part as tensors.

    Attributes:
        pixels: ``(N, C, H, W)`` uint8, memory-mapped.
        labels: ``(N,)`` int64.
        sha256: of both.
    """

    pixels: Tensor
    labels: Tensor
    sha256: str


@dataclass(frozen=True)
class Slot:
    """The place of one source in the cache.

    Attributes:
        source: the dataset at its place.
        files: the files it is read from.
    """

    source: Source
    files: tuple[Path, ...]

    @cached_property
    def folder(self) -> Path:
        """One folder for one reading rule at one place."""
        rule = f"{self.source.identity()}\0{os.path.commonpath(self.files)}"
        place = hashlib.sha256(rule.encode()).hexdigest()[:12]
        return cache_folder() / "datasets" / f"{self.source.name}-{place}"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the reading rule and of each file's path, size and time of change."""
        total = hashlib.sha256(f"{FORMAT}\0{self.source.identity()}".encode())
        for path in self.files:
            facts = path.stat()
            total.update(f"\0{path}\0{facts.st_size}\0{facts.st_mtime_ns}".encode())
        return total.hexdigest()

    def find(self) -> Entry | None:
        """The entry, if there is one and the source has not changed since."""
        path = self.folder / "facts.json"
        if not path.is_file():
            return None
        try:
            entry = Entry.from_json(read_json(path))
        except BadFile as error:
            self._warn(error)
            return None
        current = entry.fingerprint == self.fingerprint
        return entry if current and self.source.spec in (None, entry.spec) else None

    def build(self, reading: Reading | None = None) -> Entry:
        """Write the entry, facts last, of what was read from the source, or is read now.

        Raises:
            BadFile: the source is broken.
            StoreError: the cache folder cannot be written.
        """
        log.info("Reading %s from %s; from now on it is cached.", self.source.name, self.files[0])
        reading = reading or self.source.read()
        parts: dict[PartName, Part] = {"train": reading.train, "test": reading.test}
        entry = Entry(
            fingerprint=self.fingerprint,
            spec=reading.spec,
            counts={name: len(part) for name, part in parts.items()},
            sha256={name: self._save(name, part) for name, part in parts.items()},
        )
        write_text(self.folder / "facts.json", canonical_json(asdict(entry)))
        return entry

    def open(self, *names: PartName) -> tuple[Entry, list[Stored]]:
        """Parts of the dataset, from the entry if it is whole, else from the source.

        Raises:
            BadFile: the source is broken.
            StoreError: the cache folder cannot be written.
        """
        entry = self.find()
        if entry is not None:
            try:
                return entry, [self._open(entry, name) for name in names]
            except BadFile as error:
                self._warn(error)
        entry = self.build()
        return entry, [self._open(entry, name) for name in names]

    def damage(self, entry: Entry) -> list[str]:
        """One sentence for each file of the entry that is not what was written."""
        problems = []
        for name in PARTS:
            try:
                self._open(entry, name)
            except BadFile as error:
                problems.append(str(error))
        return problems

    def _save(self, name: PartName, part: Part) -> str:
        pixels, labels = as_tensors(part)
        sha256 = part_checksum(pixels, labels)
        header = {"fingerprint": self.fingerprint, "part": name, "sha256": sha256}
        path = self.folder / f"{name}.safetensors"
        save_tensors(path, {"pixels": pixels, "labels": labels}, header)
        return sha256

    def _open(self, entry: Entry, name: PartName) -> Stored:
        path = self.folder / f"{name}.safetensors"
        tensors, header = load_tensors(path)
        sha256 = entry.sha256[name]
        if header != {"fingerprint": entry.fingerprint, "part": name, "sha256": sha256}:
            raise BadFile(f"{path} belongs to another reading of its dataset.")
        return Stored(tensors["pixels"], tensors["labels"], sha256)

    def _warn(self, error: BadFile) -> None:
        log.warning("%s The dataset %s is read anew.", error, self.source.name)


def part_checksum(pixels: Tensor, labels: Tensor) -> str:
    """SHA-256 of one part's pixels and labels."""
    return tensors_digest({"pixels": pixels, "labels": labels}, {})


def as_tensors(part: Part) -> tuple[Tensor, Tensor]:
    """Pixels and labels as tensors; they share the part's memory where torch can."""
    import numpy as np
    import torch

    pixels, labels = (
        np.require(array, requirements=["C", "W"]) for array in (part.pixels, part.labels)
    )
    return torch.from_numpy(pixels), torch.from_numpy(labels)
