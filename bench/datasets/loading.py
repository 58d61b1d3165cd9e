"""Real data as a pair of sets: one to train on, one to test or to choose on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from bench.datasets.cache import Slot, Stored, as_tensors, part_checksum
from bench.datasets.dataset import Part
from bench.datasets.sources import locate, require_files
from bench.datasets.split import VALIDATION_ONE_IN, kept_and_held_out
from bench.errors import BadFile, InvalidValue, UnknownName
from bench.specs import DatasetSpec

if TYPE_CHECKING:
    from bench.data import RealSet
    from bench.preprocessing import Preprocessing

Split = Literal["test", "validation"]

SPACES = ("normalize", "zca")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class RealPair:
    """Real data to train on and to measure on.

    Attributes:
        train: the training images, or the fit part of them under ``split="validation"``.
        test: the test images, or the held-out part of the training images.
    """

    train: RealSet
    test: RealSet

    @property
    def spec(self) -> DatasetSpec:
        """The dataset."""
        return self.train.spec


def load(
    name: str,
    *,
    data_root: Path | str | None = None,
    split: Split = "test",
    preprocessing: str = "normalize",
) -> RealPair:
    """Load a dataset, from the cache where possible.

    Args:
        name: a registered dataset, or ``name=path`` for one of your own.
        data_root: where to look; default ``$BENCH_DATA``, else ``data``.
        split: ``test`` pairs the whole training part with the test part. ``validation`` pairs two
            parts of the *training* images by the published rule (:mod:`bench.datasets.split`) and
            does not open the test images: every choice is made on it.
        preprocessing: ``normalize`` or ``zca``; ZCA is fitted to ``train`` alone.

    Raises:
        UnknownName: no such dataset, split or preprocessing.
        MissingData: the dataset is not on this machine; the message says how to get it.
        BadFile: the dataset's files are broken.
    """
    _check("split", split, get_args(Split))
    _check("preprocessing", preprocessing, SPACES)
    source = locate(name, data_root)
    slot = Slot(source, require_files(source))
    if split == "test":
        entry, (train, test) = slot.open("train", "test")
    else:
        entry, (whole,) = slot.open("train")
        train, test = _validation(whole, source.name)
    space = _whitened(slot, train) if preprocessing == "zca" else _normalized(entry.spec)
    return RealPair(
        train=_real_set(train, entry.spec, space), test=_real_set(test, entry.spec, space)
    )


def describe(name: str, *, data_root: Path | str | None = None) -> DatasetSpec:
    """What a dataset is. torch is not imported, except to read a ``name=path`` the first time.

    Raises:
        UnknownName: no such dataset.
        MissingData: there is nothing at the path of a ``name=path``.
        BadFile: its files are broken.
    """
    source = locate(name, data_root)
    if source.spec is not None:
        return source.spec
    slot = Slot(source, require_files(source))
    return (slot.find() or slot.build()).spec


def _check(kind: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise UnknownName(kind, given, known)


def _validation(whole: Stored, name: str) -> tuple[Stored, Stored]:
    labels = whole.labels.tolist()
    fit, held_out = kept_and_held_out(labels, key=name, one_in=VALIDATION_ONE_IN)
    if not held_out:
        raise InvalidValue(f"{name} has one image a class; a validation split takes two or more.")
    return _rows(whole, fit), _rows(whole, held_out)


def _rows(whole: Stored, index: list[int]) -> Stored:
    part = Part(whole.pixels.numpy(), whole.labels.numpy()).rows(index)
    pixels, labels = as_tensors(part)
    return Stored(pixels, labels, part_checksum(pixels, labels))


def _real_set(part: Stored, spec: DatasetSpec, space: Preprocessing) -> RealSet:
    from bench.data import RealSet

    return RealSet(
        pixels=part.pixels,
        labels=part.labels,
        spec=spec,
        preprocessing=space,
        checksum=part.sha256,
    )


def _normalized(spec: DatasetSpec) -> Preprocessing:
    from bench.preprocessing import Preprocessing

    return Preprocessing.normalize(spec)


def _whitened(slot: Slot, train: Stored) -> Preprocessing:
    """ZCA fitted to ``train``, once: the transform lies in the cache beside the images."""
    from bench.preprocessing import EPSILON, Preprocessing, Whitening

    path = slot.folder / f"zca-{EPSILON}-{train.sha256[:16]}.safetensors"
    if path.is_file():
        try:
            return Preprocessing.zca(Whitening.load(path))
        except BadFile as error:
            log.warning("%s ZCA of %s is fitted anew.", error, slot.source.name)
    log.info("Fitting ZCA to %s; from now on it is cached.", slot.source.name)
    whitening = Whitening.fit(train.pixels, EPSILON)
    whitening.save(path)
    return Preprocessing.zca(whitening)
