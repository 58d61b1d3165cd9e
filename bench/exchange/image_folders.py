"""Class folders of pictures, as SRe2L and RDED write them: ``<class>/<anything>.png|jpg``.

Which folder is which class decides everything, so it is settled by the first rule that applies:

1. the folders are the dataset's class names;
2. each folder's name holds one of the numbers 0 .. K-1 (``7``, ``new007``, ``007-horse``): that is
   the label;
3. otherwise sorted names are the labels, unless sorting by number and by letter disagree.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from bench.errors import BadFile
from bench.exchange.bounds import check_inside, max_images
from bench.exchange.found import Found
from bench.exchange.images import decode
from bench.specs import DatasetSpec

PICTURES = {".png", ".jpg", ".jpeg"}
_NUMBER = re.compile(r"\d+", re.ASCII)


def has_class_folders(folder: Path) -> bool:
    """Whether ``folder`` holds at least one folder, hidden ones aside."""
    return any(child.is_dir() for child in folder.iterdir() if not child.name.startswith("."))


def read(folder: Path, spec: DatasetSpec) -> Found:
    """The pictures in the class folders of ``folder``, by class and then by name.

    Raises:
        BadFile: another number of folders than classes, links that lead out, too many pictures, a
            picture that does not fit, or an order of classes that nobody could tell.
    """
    folders = sorted(
        check_inside(child, folder)
        for child in folder.iterdir()
        if child.is_dir() and not child.name.startswith(".")
    )
    if len(folders) != spec.num_classes:
        raise BadFile(
            f"{folder} holds {len(folders)} class folders; {spec.name} has {spec.num_classes} "
            f"classes. Give one folder a class."
        )
    ordered, rule = _by_class([child.name for child in folders], folder, spec)
    labels: list[int] = []
    images: list[Tensor] = []
    paths: list[Path] = []
    for label, name in enumerate(ordered):
        for picture in _pictures(folder / name, folder):
            if len(paths) == max_images(spec):
                raise BadFile(f"{folder} holds more than {max_images(spec):,} pictures.")
            with picture.open("rb") as stream:
                images.append(decode(stream, str(picture), spec))
            labels.append(label)
            paths.append(picture)
    if not images:
        raise BadFile(f"{folder} holds class folders but no PNG or JPEG in them.")
    return Found(
        layout="class folders of pictures",
        images=torch.stack(images),
        labels=torch.tensor(labels),
        space="bytes",
        files=tuple(paths),
        notes=(rule,),
    )


def _pictures(class_folder: Path, root: Path) -> list[Path]:
    return sorted(
        check_inside(child, root)
        for child in class_folder.iterdir()
        if child.suffix.lower() in PICTURES and child.is_file()
    )


def _by_class(names: list[str], folder: Path, spec: DatasetSpec) -> tuple[list[str], str]:
    """Folder names in the order of labels, and the rule that was applied, as a sentence."""
    if set(names) == set(spec.classes):
        return list(spec.classes), "Folders were matched to the classes by name."
    numbers = [[int(digits) for digits in _NUMBER.findall(name)[:1]] for name in names]
    if sorted(numbers) == [[label] for label in range(len(names))]:
        return [
            name for _, name in sorted(zip(numbers, names, strict=True))
        ], "The number in each folder's name was taken as its label."
    by_number = sorted(names, key=lambda name: [int(d) for d in _NUMBER.findall(name)])
    if all(numbers) and by_number != sorted(names):
        raise BadFile(
            f"{folder} has class folders whose order is unclear ({names[0]!r}, {names[1]!r}, …): "
            f"sorted by number and by letter they differ. Name them 0 to {len(names) - 1}, or by "
            f"the classes of {spec.name}."
        )
    return sorted(names), (
        f"Folders in alphabetical order were taken as classes 0 to {len(names) - 1}: "
        f"{names[0]!r} is {spec.classes[0]!r}, {names[-1]!r} is {spec.classes[-1]!r}."
    )
