"""What a dataset plug-in is, and what every dataset must satisfy once it is read.

A package registers a dataset of its own with an entry point in the group ``bench.datasets`` that
names a :class:`Dataset`. Nothing here imports torch or numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench.datasets.arrays import take
from bench.errors import BadFile
from bench.specs import DatasetSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Part:
    """One split as it is stored.

    Attributes:
        pixels: ``(N, C, H, W)`` uint8, possibly memory-mapped.
        labels: ``(N,)`` int64.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, index: Sequence[int]) -> Part:
        """The images at ``index`` as a part of their own, copied."""
        import numpy as np

        chosen = np.asarray(index, np.int64)
        return Part(take(self.pixels, chosen), self.labels[chosen])


@dataclass(frozen=True, eq=False)
class Reading:
    """A dataset as read from its source.

    Attributes:
        spec: what the dataset is.
        train: the training images, in the order that the source stores them.
        test: the test images, likewise.
    """

    spec: DatasetSpec
    train: Part
    test: Part

    def check(self, where: Path) -> Reading:
        """Return the reading itself if both parts are what ``spec`` says.

        Raises:
            BadFile: images of another shape or type, labels out of range, a class without images.
        """
        for name, part in (("training", self.train), ("test", self.test)):
            problem = _problem(part, self.spec)
            if problem:
                raise BadFile(f"{self.spec.name}, {name} part under {where}: {problem}.")
        return self


def _problem(part: Part, spec: DatasetSpec) -> str | None:
    import numpy as np

    expected = (len(part.labels), *spec.shape)
    if part.pixels.shape != expected or part.pixels.dtype != np.uint8:
        return f"pixels are {part.pixels.dtype} {part.pixels.shape}, expected uint8 {expected}"
    outside = part.labels[(part.labels < 0) | (part.labels >= spec.num_classes)]
    if len(outside):
        return f"label {outside[0]} is outside [0, {spec.num_classes})"
    counts = np.bincount(part.labels, minlength=spec.num_classes)
    if not counts.all():
        return f"class {spec.classes[int(counts.argmin())]!r} has no image"
    return None


class Reader(Protocol):
    """How one layout on disk is read. A frozen dataclass, so that its repr names it fully."""

    @property
    def layout(self) -> str:
        """What a data root must hold, for example ``FashionMNIST/raw``."""

    def files(self, root: Path) -> tuple[Path, ...]:
        """Every file that :meth:`read` reads, in a fixed order; none if any is missing."""

    def read(self, root: Path, spec: DatasetSpec) -> tuple[Part, Part]:
        """Read training and test part.

        Raises:
            BadFile: a file is broken or hostile.
        """


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset plug-in.

    Attributes:
        spec: shape, classes and pixel statistics; ``spec.name`` is the registered name.
        reader: how it is read from a data root.
        title: its name in prose.
        source: where it comes from.
        licence: under which terms.
        train_count: images in the training part.
        test_count: images in the test part.
        fetch: downloads it into a data root; ``None`` where that is impossible.
        by_hand: how to get it where ``fetch`` is ``None``; the path follows the last word.
        checksum: of the data as published, where known; ``bench data verify`` compares it.
    """

    spec: DatasetSpec
    reader: Reader
    title: str
    source: str
    licence: str
    train_count: int
    test_count: int
    fetch: Callable[[Path], None] | None = None
    by_hand: str = ""
    checksum: str | None = None
