"""Trees of image files, in a folder or in a zip archive that is read without being extracted."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from bench.datasets.images import SUFFIXES, Encoded
from bench.datasets.parsing import check_encoded_size, parsing
from bench.errors import BadFile


class Tree(Protocol):
    """Files by their path inside the tree, with ``/`` between the parts."""

    @property
    def path(self) -> Path:
        """The folder or archive."""

    def names(self) -> list[str]:
        """Every file's path inside the tree, sorted."""

    def read(self, name: str) -> bytes:
        """The bytes of one file of bounded size."""


@dataclass(frozen=True)
class Folder:
    """A folder on disk; hidden files and folders are passed over."""

    path: Path

    def names(self) -> list[str]:
        """Every file's path below the folder, sorted."""
        found: list[str] = []
        for parent, folders, files in os.walk(self.path):
            folders[:] = [name for name in folders if not name.startswith(".")]
            inside = Path(parent).relative_to(self.path)
            found += [(inside / name).as_posix() for name in files if not name.startswith(".")]
        return sorted(found)

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            BadFile: it is too large or unreadable.
        """
        path = self.path / name
        with parsing(path):
            check_encoded_size(path.stat().st_size, str(path))
            return path.read_bytes()


@dataclass(frozen=True)
class Archive:
    """A zip archive. Members are read into memory one by one, so none can land anywhere."""

    path: Path

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        with parsing(self.path):
            return zipfile.ZipFile(self.path)

    def names(self) -> list[str]:
        """Every member's path, sorted."""
        return sorted(info.filename for info in self._zip.infolist() if not info.is_dir())

    def read(self, name: str) -> bytes:
        """The bytes of one member.

        Raises:
            BadFile: it is too large, encrypted or damaged.
        """
        where = f"{self.path}/{name}"
        with parsing(where):
            check_encoded_size(self._zip.getinfo(name).file_size, where)
            return self._zip.read(name)


@dataclass(frozen=True)
class TreeImages:
    """Labelled images of a tree, in the given order."""

    tree: Tree
    entries: Sequence[tuple[str, int]]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Encoded]:
        for name, label in self.entries:
            yield Encoded(self.tree.read(name), label, f"{self.tree.path}/{name}")


def images_under(names: Sequence[str], folder: str) -> list[str]:
    """Those of ``names`` that are images below ``folder`` (``""``: anywhere)."""
    prefix = f"{folder}/" if folder else ""
    return [name for name in names if name.startswith(prefix) and name.lower().endswith(SUFFIXES)]


def class_of(name: str, folder: str) -> str:
    """The class folder of an image: the first part of its path below ``folder``."""
    return name.removeprefix(f"{folder}/" if folder else "").partition("/")[0]


def labelled(
    tree: Tree, names: Sequence[str], folder: str, classes: Sequence[str]
) -> list[tuple[str, int]]:
    """Images of ``folder``/<class>/… with the positions of their classes.

    Raises:
        BadFile: a folder names no known class.
    """
    label_of = {name: label for label, name in enumerate(classes)}
    entries: list[tuple[str, int]] = []
    for name in images_under(names, folder):
        found = class_of(name, folder)
        if found not in label_of:
            raise BadFile(
                f"{tree.path}/{name} belongs to class {found!r}, which is none of the "
                f"{len(classes)} classes ({', '.join(classes[:3])}, …)."
            )
        entries.append((name, label_of[found]))
    # by class, then by path: the order of the labels is the order of the images
    return sorted(entries, key=lambda entry: (entry[1], entry[0]))
