"""What the distilled images look like, each beside the nearest real training image.

Images come from the artefacts of the stores, mapped back to pixels through the artefact's own
header and clipped to [0, 1]. A generator draws a sample with a seed derived from its artefact. This
is the one part of the site that needs torch; real images only where the dataset is at hand.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BadFile, BenchError
from bench.records import Record
from bench.store import Store
from leaderboard.rows import Row
from leaderboard.site import links
from leaderboard.site.boards import rules_title
from leaderboard.site.reals import Reals, nearest
from leaderboard.tables import Table, TableKey

if TYPE_CHECKING:
    from torch import Tensor

    from bench.preprocessing import Preprocessing

MAX_CLASSES = 10
PER_CLASS = 2
"""Shown of one artefact: the first images of its first classes."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One distilled image.

    Attributes:
        label: its class, or the likeliest one under its soft label.
        image: address of the PNG from the site's root.
        nearest: address of the nearest real training image; ``None`` where the data are not here.
        nearest_label: the class of that image.
        distance: root mean square difference of the two, pixels in [0, 1].
    """

    label: str
    image: str
    nearest: str | None = None
    nearest_label: str = ""
    distance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """What is shown of one artefact.

    Attributes:
        id: its anchor.
        key: a table whose row it belongs to.
        row: that row.
        seed: distillation seed.
        sha256: the artefact.
        rules: the protocols, tiers and tracks in which it stands.
        size_px: height and width of an image.
        total: how many images it holds; ``None`` for a generator.
        pictures: some of them.
        remark: what is missing and why; ``""`` if nothing is.
    """

    id: str
    key: TableKey
    row: Row
    seed: int
    sha256: str
    rules: tuple[str, ...]
    size_px: int
    total: int | None
    pictures: tuple[Picture, ...]
    remark: str


def gallery(
    found: Iterable[Table], stores: Sequence[Path], data_root: Path | None
) -> tuple[list[Exhibit], dict[str, bytes]]:
    """One exhibit for each distinct artefact of a row's first seed, and the images' files.

    Args:
        found: the tables.
        stores: where artefacts are looked for.
        data_root: where real images are looked for; ``None`` for the usual place.
    """
    files: dict[str, bytes] = {}
    reals = Reals(data_root)
    exhibits = []
    for sha256, places in _artefacts(found, stores).items():
        exhibits.append(_exhibit(sha256, places, reals, files))
    exhibits.sort(key=lambda item: (item.key.dataset, item.key.budget, item.row.title, item.sha256))
    return exhibits, files


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where an artefact stands."""

    key: TableKey
    row: Row
    record: Record
    path: Path


def _artefacts(found: Iterable[Table], stores: Sequence[Path]) -> dict[str, list[_Place]]:
    """Of each row the first good record with an artefact that a store holds, by digest."""
    places: dict[str, list[_Place]] = {}
    for table in found:
        for row in table.rows:
            for record in row.records:
                path = _path(record.artifact, stores) if record.status == "ok" else None
                if path and record.artifact and not row.ceiling:
                    place = _Place(key=table.key, row=row, record=record, path=path)
                    places.setdefault(record.artifact, []).append(place)
                    break
    return places


def _path(sha256: str | None, stores: Sequence[Path]) -> Path | None:
    if sha256 is None:
        return None
    candidates = (Store(root).artifact(sha256) for root in stores)
    return next((path for path in candidates if path.is_file()), None)


def _exhibit(
    sha256: str, places: Sequence[_Place], reals: Reals, files: dict[str, bytes]
) -> Exhibit:
    first = places[0]
    pictures: tuple[Picture, ...] = ()
    total, size_px, remark = None, 0, ""
    try:
        sample = _sample(first.path, sha256, first.record, reals)
        pictures, remark = _pictures(sample, first.record, reals, files)
        total, size_px = sample.total, sample.pixels.shape[-1]
    except BenchError as error:
        remark = f"No images: {error}"
    return Exhibit(
        id=links.anchor("images", sha256),
        key=first.key,
        row=first.row,
        seed=first.record.trial.distillation_seed,
        sha256=sha256,
        rules=tuple(dict.fromkeys(rules_title(place.key) for place in places)),
        size_px=size_px,
        total=total,
        pictures=pictures,
        remark=remark,
    )


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Images to show: ``(n, C, H, W)`` floats, their labels in words, and how many there are."""

    pixels: Tensor
    labels: list[str]
    total: int | None


def _sample(path: Path, sha256: str, record: Record, reals: Reals) -> _Sample:
    from bench import artifacts
    from bench.data import SyntheticSet
    from bench.randomness import generator

    source = artifacts.load(path)
    header = source.header
    if header is None:
        raise BadFile(f"{path} has no header.")
    if isinstance(source, SyntheticSet):
        images, labels, total = source.images, source.labels, len(source.images)
        space = _space(header.preprocessing, record, reals)
    else:
        few = replace(source, per_class=min(PER_CLASS, source.per_class))
        images, labels = few.epoch(generator("gallery", sha256))
        total, space = None, source.preprocessing
    hard = labels if labels.ndim == 1 else labels.argmax(1)
    chosen = _first_of_each_class(hard)
    return _Sample(
        pixels=space.inverse(images[chosen]).clamp(0, 1),
        labels=[_label(labels[i], header.classes) for i in chosen.tolist()],
        total=total,
    )


def _first_of_each_class(hard: Tensor) -> Tensor:
    import torch

    classes = hard.unique(sorted=True)[:MAX_CLASSES]
    return torch.cat([(hard == label).nonzero()[:PER_CLASS, 0] for label in classes])


def _label(label: Tensor, classes: Sequence[str]) -> str:
    if label.ndim == 0:
        return classes[int(label)]
    share, index = label.softmax(0).max(0)
    return f"{classes[int(index)]} ({float(share):.0%})"


def _space(header: Mapping[str, object], record: Record, reals: Reals) -> Preprocessing:
    """The map back to pixels that a header describes.

    Raises:
        BadFile: the header describes none, or a whitening that cannot be fitted again here.
    """
    import torch

    from bench.preprocessing import Preprocessing

    if header.get("kind") == "normalize":
        mean, std = (
            torch.tensor(header[name], dtype=torch.float32).view(-1, 1, 1)
            for name in ("mean", "std")
        )
        return Preprocessing(kind="normalize", mean=mean, std=std)
    space = reals.whitening(record)
    if space is None or space.header().get("matrix_sha256") != header.get("matrix_sha256"):
        raise BadFile("its pixels are ZCA-whitened and the training images are not at hand.")
    return space


def _pictures(
    sample: _Sample, record: Record, reals: Reals, files: dict[str, bytes]
) -> tuple[tuple[Picture, ...], str]:
    """The pictures of a sample, with their files added to ``files``, and what is missing."""
    images = [_keep(image, files) for image in sample.pixels]
    shown = [
        Picture(label=label, image=image)
        for label, image in zip(sample.labels, images, strict=True)
    ]
    real = reals.of(record)
    if real is None:
        return tuple(shown), "Real images are left out: the dataset was not at hand."
    distances, found = nearest(sample.pixels, real)
    beside = [
        replace(
            picture,
            nearest=_keep(real.pixels[i].float().div(255), files),
            nearest_label=real.spec.classes[int(real.labels[i])],
            distance=distance,
        )
        for picture, i, distance in zip(shown, found.tolist(), distances.tolist(), strict=True)
    ]
    return tuple(beside), ""


def _keep(image: Tensor, files: dict[str, bytes]) -> str:
    """Add a ``(C, H, W)`` image in [0, 1] to ``files`` as a PNG; return its address."""
    from PIL import Image

    values = (image * 255).round().byte().numpy()
    picture = Image.fromarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0))
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    address = links.image_file(stream.getvalue())
    files[address] = stream.getvalue()
    return address
