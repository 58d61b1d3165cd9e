"""Recognising the layouts of datasets that nobody registered.

- a folder with ``train/<class>/…`` and ``test/``, ``val/`` or ``validation/<class>/…``;
- a folder ``<class>/…`` without parts, or a zip archive of either;
- a folder (or its ``data/``) with ``train*.parquet`` and ``test*.parquet``, in its absence
  ``val*.parquet``, or one ``.parquet`` file, in the Hugging Face layout.

Classes of a tree are its folder names, sorted; classes of parquet files are named by their
metadata, else by number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.datasets.images import Collection
from bench.datasets.readers.parquet import ParquetImages
from bench.datasets.readers.trees import (
    Archive,
    Folder,
    Tree,
    TreeImages,
    class_of,
    images_under,
    labelled,
)
from bench.errors import BadFile

TEST_FOLDERS = ("test", "val", "validation")


@dataclass(frozen=True)
class Collections:
    """Encoded images of a dataset whose layout has been recognised.

    Attributes:
        classes: class names in the order of the labels.
        train: the training part, or everything.
        test: the test part, if the source has one.
    """

    classes: tuple[str, ...]
    train: Collection
    test: Collection | None


def files(root: Path) -> tuple[Path, ...]:
    """Every parquet file, the one file, or every image below the folder."""
    if root.is_file():
        return (root,)
    shards = _shards(root, "train") + _shards(root, "test", "val")
    return shards or tuple(root / name for name in images_under(Folder(root).names(), ""))


def recognise(root: Path) -> Collections:
    """Find out which layout ``root`` has.

    Raises:
        BadFile: none of the known ones, or one that contradicts itself.
    """
    if root.suffix == ".parquet":
        return _parquet(ParquetImages((root,)), None)
    if root.is_file():
        return _tree(Archive(root))
    train, test = _shards(root, "train"), _shards(root, "test", "val")
    if train:
        return _parquet(ParquetImages(train), ParquetImages(test) if test else None)
    if test:
        raise BadFile(f"{root} holds {test[0].name} but no train*.parquet.")
    return _tree(Folder(root))


def _shards(folder: Path, *stems: str) -> tuple[Path, ...]:
    """Parquet files of the first stem that has any, in ``folder`` or in its ``data``."""
    for stem in stems:
        for place in (folder, folder / "data"):
            if found := sorted(place.glob(f"{stem}*.parquet")):
                return tuple(found)
    return ()


def _parquet(train: ParquetImages, test: ParquetImages | None) -> Collections:
    highest = max(train.labels(), default=-1)
    if not 0 <= highest < len(train):
        raise BadFile(
            f"{train.paths[0]} has {len(train)} images, the highest label being {highest}; labels "
            f"count from 0, and every class needs images."
        )
    classes = train.classes or tuple(str(label) for label in range(highest + 1))
    if test is not None and test.classes not in (None, train.classes):
        raise BadFile(f"{test.paths[0]} orders its classes otherwise than {train.paths[0]}.")
    return Collections(classes, train, test)


def _tree(tree: Tree) -> Collections:
    names = tree.names()
    tests = [folder for folder in TEST_FOLDERS if images_under(names, folder)]
    has_parts = bool(tests and images_under(names, "train"))
    folder = "train" if has_parts else ""
    classes = _classes(tree, images_under(names, folder), folder)
    train = TreeImages(tree, labelled(tree, names, folder, classes))
    if not has_parts:
        return Collections(classes, train, None)
    return Collections(classes, train, TreeImages(tree, labelled(tree, names, tests[0], classes)))


def _classes(tree: Tree, names: Sequence[str], folder: str) -> tuple[str, ...]:
    found = {class_of(name, folder) for name in names}
    if len(found) < 2 or found & set(names):
        raise BadFile(
            f"{tree.path} is no tree of two or more class folders; expected <class>/image.png, "
            f"or train/<class>/image.png and test/<class>/image.png."
        )
    return tuple(sorted(found))
