"""What datasets, budgets and synthetic sets say about themselves; torch is not imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.errors import InvalidValue

BudgetKind = Literal["ipc", "inpc", "full"]

MAX_COUNT = 10**9
"""More images per class than any dataset has, and few enough for every file format."""


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """Shape and pixel statistics of an image-classification dataset.

    Attributes:
        name: the name every table shows.
        classes: class names; the label of ``classes[k]`` is ``k``.
        channels: 1 or 3.
        size_px: height and width in pixels; images are square.
        mean: per-channel mean of the training pixels, in [0, 1].
        std: per-channel standard deviation of the training pixels.
        mirror: whether a horizontal flip keeps the label (not for digits).
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    size_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mirror: bool = True

    def __post_init__(self) -> None:
        if not len(self.mean) == len(self.std) == self.channels:
            raise InvalidValue(
                f"Dataset {self.name!r} has {self.channels} channels but {len(self.mean)} means "
                f"and {len(self.std)} standard deviations; give one of each a channel."
            )

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of one image."""
        return (self.channels, self.size_px, self.size_px)

    @property
    def default_network(self) -> str:
        """The field's ConvNet for this image size: one block for every halving down to 4 px."""
        return f"convnet-d{2 if self.size_px <= 16 else 3 if self.size_px <= 32 else 4}"


@dataclass(frozen=True, order=True)
class Budget:
    """How much a method may hand over.

    ``ipc``: images per class. ``inpc``: generated images per class and epoch. ``full``: the whole
    training set (the ceiling row), whose count is 0.
    """

    kind: BudgetKind
    count: int

    def __post_init__(self) -> None:
        if self.kind not in ("ipc", "inpc", "full"):
            raise InvalidValue(f"Budget kind {self.kind!r} is not one of ipc, inpc, full.")
        if (self.count != 0) if self.kind == "full" else not (1 <= self.count <= MAX_COUNT):
            raise InvalidValue(
                f"A budget of {self.count} ({self.kind}) cannot be; "
                f"give 1 to {MAX_COUNT:,} images per class."
            )

    def __str__(self) -> str:
        return "full" if self.kind == "full" else f"{self.kind} {self.count}"

    @classmethod
    def parse(cls, value: Budget | int | str) -> Budget:
        """Read ``10``, ``"10"``, ``"ipc 10"``, ``"inpc 10"`` or ``"full"``.

        Raises:
            InvalidValue: anything else.
        """
        if isinstance(value, Budget):
            return value
        words = str(value).replace("=", " ").split()
        if words == ["full"]:
            return cls("full", 0)
        kind, number = words if len(words) == 2 else ("ipc", words[0] if words else "")
        if kind not in ("ipc", "inpc") or not number.isdecimal() or int(number) < 1:
            raise InvalidValue(
                f"{value!r} is no budget; give images per class such as 1, 'ipc 10' or 'inpc 10'."
            )
        return cls(kind, int(number))  # type: ignore[arg-type]

    @property
    def word(self) -> str:
        """What ``--budget`` takes for it, at its shortest."""
        return str(self).removeprefix("ipc ")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a record or a header."""
        return {"kind": self.kind, "count": self.count}


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a synthetic set must say about itself to be used without guessing.

    Attributes:
        dataset: the dataset it was distilled from.
        classes: class names; labels index into them.
        budget: what it was made for.
        preprocessing: the pixel space, as ``Preprocessing.header()`` prints it.
        method: the method's name, or ``"imported"``.
        parameters: the method's full parameters.
        created: facts of creation: versions, device, seeds, source file.
    """

    dataset: str
    classes: tuple[str, ...]
    budget: Budget
    preprocessing: Mapping[str, Any]
    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    created: Mapping[str, Any] = field(default_factory=dict)
