"""Tiny ImageNet and ImageNet-1K at 64×64, in the layouts they are handed round in."""

from __future__ import annotations

import math
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.datasets.arrays import allocate
from bench.datasets.dataset import Part
from bench.datasets.images import decode
from bench.datasets.parsing import parsing
from bench.datasets.readers import all_or_none
from bench.datasets.readers.trees import Archive, Folder, Tree, TreeImages, labelled
from bench.errors import BadFile
from bench.specs import DatasetSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_BATCH_BYTES = 4 * 2**30
"""One array of one ``.npz`` batch; the published ones take 1.6 GB."""


@dataclass(frozen=True)
class TinyImageNet:
    """The folder ``tiny-imagenet-200`` or its zip archive; the validation part is the test part.

    ``train/<wnid>/images/*.JPEG`` and ``val/images/*.JPEG``, the labels of the latter in
    ``val/val_annotations.txt``: file, tab, wnid, tab, box.
    """

    folder: str = "tiny-imagenet-200"

    @property
    def layout(self) -> str:
        """What a data root must hold."""
        return f"{self.folder} or {self.folder}.zip"

    def files(self, root: Path) -> tuple[Path, ...]:
        """Every file of the folder, or the archive."""
        if self._is_unpacked(root):
            folder = Folder(root / self.folder)
            return tuple(folder.path / name for name in folder.names())
        return all_or_none([root / f"{self.folder}.zip"])

    def _is_unpacked(self, root: Path) -> bool:
        return (root / self.folder / "val" / "val_annotations.txt").is_file()

    def read(self, root: Path, spec: DatasetSpec) -> tuple[Part, Part]:
        """Decode both parts; the few grey images become RGB.

        Raises:
            BadFile: an image is broken, or an image's class is not in ``spec``.
        """
        tree: Tree
        if self._is_unpacked(root):
            tree, prefix = Folder(root / self.folder), ""
        else:
            tree, prefix = Archive(root / f"{self.folder}.zip"), f"{self.folder}/"
        train = labelled(tree, tree.names(), f"{prefix}train", spec.classes)
        test = _annotated(tree, f"{prefix}val", spec.classes)
        return _decoded(tree, train, spec), _decoded(tree, test, spec)


def _decoded(tree: Tree, entries: list[tuple[str, int]], spec: DatasetSpec) -> Part:
    return decode(TreeImages(tree, entries), channels=spec.channels, size_px=spec.size_px)


def _annotated(tree: Tree, folder: str, classes: tuple[str, ...]) -> list[tuple[str, int]]:
    """Images of the validation part in the order of their annotations."""
    source = f"{folder}/val_annotations.txt"
    entries: list[tuple[str, int]] = []
    with parsing(f"{tree.path}/{source}"):
        for number, line in enumerate(tree.read(source).decode().splitlines(), start=1):
            name, wnid, *_ = [*line.split("\t"), ""]
            if wnid not in classes or not re.fullmatch(r"\w+\.JPEG", name):
                raise BadFile(f"{tree.path}/{source}, line {number} is no annotation: {line!r}.")
            entries.append((f"{folder}/images/{name}", classes.index(wnid)))
    return entries


@dataclass(frozen=True)
class ImageNet64:
    """Class folders ``train/<wnid>`` and ``val/<wnid>``, or the published ``.npz`` batches.

    Batches hold ``data`` (n, 3·64·64) uint8, a plane a channel, and ``labels`` from 1. Their
    labels count in the order of the challenge's development kit, not by sorted wnid.

    Attributes:
        batch_order: the wnid of each label in the batches.
        train_batches: how many training batches there are.
        layout: the folder under the data root.
    """

    batch_order: tuple[str, ...]
    train_batches: int = 10
    layout: str = "imagenet-1k-64"

    def files(self, root: Path) -> tuple[Path, ...]:
        """Every image of the class folders, or every batch, test part last."""
        if self._has_folders(root):
            folder = Folder(root / self.layout)
            return tuple(folder.path / name for name in folder.names())
        numbers = range(1, self.train_batches + 1)
        names = [*(f"train_data_batch_{number}.npz" for number in numbers), "val_data.npz"]
        return all_or_none(root / self.layout / name for name in names)

    def _has_folders(self, root: Path) -> bool:
        return all((root / self.layout / part).is_dir() for part in ("train", "val"))

    def read(self, root: Path, spec: DatasetSpec) -> tuple[Part, Part]:
        """Read both parts; no more than one batch is held in memory beside the result.

        Raises:
            BadFile: a file is broken, or of another size than ``spec``.
        """
        if self._has_folders(root):
            tree = Folder(root / self.layout)
            names = tree.names()
            train, test = (labelled(tree, names, part, spec.classes) for part in ("train", "val"))
            return _decoded(tree, train, spec), _decoded(tree, test, spec)
        files = self.files(root)
        return self._batches(files[:-1], spec), self._batches(files[-1:], spec)

    def _batches(self, files: tuple[Path, ...], spec: DatasetSpec) -> Part:
        import numpy as np

        labels = [self._labels(path, spec) for path in files]
        pixels = allocate((sum(map(len, labels)), *spec.shape))
        start = 0
        for path, of_batch in zip(files, labels, strict=True):
            end = start + len(of_batch)
            pixels[start:end] = _images(path, (end - start, *spec.shape))
            start = end
        return Part(pixels, np.concatenate(labels))

    def _labels(self, path: Path, spec: DatasetSpec) -> NDArray[np.int64]:
        import numpy as np

        position = {wnid: label for label, wnid in enumerate(spec.classes)}
        order = np.array([position[wnid] for wnid in self.batch_order])
        labels = _member(path, "labels")
        if labels.ndim != 1 or not np.isin(labels, np.arange(1, len(order) + 1)).all():
            raise BadFile(f"{path} has labels that are no list of numbers in 1 … {len(order)}.")
        return order[labels.astype(np.int64) - 1]


def _images(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    import numpy as np

    data = _member(path, "data")
    if data.dtype != np.uint8 or data.size != math.prod(shape):
        raise BadFile(f"{path} holds {data.dtype} {data.shape} pixels; expected uint8 {shape}.")
    return data.reshape(shape)


def _member(path: Path, name: str) -> NDArray[Any]:
    """One array of a batch; an array of objects, which would be unpickled, is refused."""
    import numpy as np

    with parsing(path):
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(f"{name}.npy").file_size
        if size > MAX_BATCH_BYTES:
            raise BadFile(f"{path} holds {size:,} bytes of {name}; {MAX_BATCH_BYTES:,} are read.")
        with np.load(path, allow_pickle=False) as batch:
            array: NDArray[Any] = batch[name]
            return array
