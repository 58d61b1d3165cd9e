"""Real and synthetic data: the tensors, their shapes and their checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from torch import Generator, Tensor

from bench.errors import ContractError, NotApplicable
from bench.specs import DatasetSpec, Header

if TYPE_CHECKING:
    from torch.utils.data import TensorDataset

    from bench.preprocessing import Preprocessing

LabelKind = Literal["hard", "soft"]

DENSE_LIMIT_BYTES = 2 * 2**30
"""Real sets up to this size are preprocessed once and kept; larger ones on each access."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RealSet:
    """Real images of one split, as stored pixels plus the map into model-input space.

    It is a synthetic source too: the ceiling row hands over the whole training set.

    Attributes:
        pixels: ``(N, C, H, W)`` uint8, possibly memory-mapped.
        labels: ``(N,)`` int64 in [0, K).
        spec: the dataset.
        preprocessing: maps pixels to model-input space.
        checksum: SHA-256 of pixels and labels.
        device: where images are handed out.
    """

    pixels: Tensor
    labels: Tensor
    spec: DatasetSpec
    preprocessing: Preprocessing
    checksum: str
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def label_kind(self) -> LabelKind:
        """Real labels are class indices."""
        return "hard"

    @property
    def learning_rate(self) -> float | None:
        """Real data bring no learning rate along."""
        return None

    @property
    def stored_bytes(self) -> int:
        """Bytes of pixels and labels."""
        return self.pixels.nbytes + self.labels.nbytes

    def epoch(self, rng: Generator) -> tuple[Tensor, Tensor]:
        """All images with all labels; for large sets draw batches of indices instead."""
        return self.images(), self.targets()

    def to(self, device: torch.device | str) -> RealSet:
        """The same set handing out its images on another device."""
        there = torch.device(device)
        return self if there == self.device else replace(self, device=there)

    @cached_property
    def _dense(self) -> Tensor | None:
        if 4 * self.pixels.numel() > DENSE_LIMIT_BYTES:
            return None
        return self.preprocessing.forward(self.pixels).to(self.device)

    @cached_property
    def class_indices(self) -> tuple[Tensor, ...]:
        """For each class the positions of its images, ascending, int64."""
        return tuple(
            (self.labels == label).nonzero()[:, 0] for label in range(len(self.spec.classes))
        )

    def images(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Images at ``index`` in model-input space, ``(n, C, H, W)`` float32 on ``device``."""
        if self._dense is not None:
            at = index if isinstance(index, slice) else self._there(index)
            return self._dense[at]
        return self._there(self.preprocessing.forward(self.pixels[index]))

    def targets(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Labels at ``index``, ``(n,)`` int64 on ``device``."""
        return self._there(self.labels[index])

    def _there(self, tensor: Tensor) -> Tensor:
        """``tensor`` on ``device``, which copies when it comes to it and is not waited for."""
        return tensor.to(self.device, non_blocking=True)

    def draw_class(self, label: int, count: int, rng: Generator) -> Tensor:
        """``count`` images of one class without replacement (all of them if there are fewer)."""
        members = self.class_indices[label]
        chosen = torch.randperm(len(members), generator=rng)[:count]
        return self.images(members[chosen])

    def draw(self, count: int, rng: Generator) -> tuple[Tensor, Tensor]:
        """``count`` images of any class without replacement, with their labels."""
        chosen = torch.randperm(len(self), generator=rng)[:count]
        return self.images(chosen), self.targets(chosen)

    def subset(self, index: Tensor) -> SyntheticSet:
        """The images at ``index`` as a synthetic set with hard labels, sorted by class."""
        ordered = index[torch.argsort(self.labels[index], stable=True)]
        return SyntheticSet(
            images=self.images(ordered).clone(), labels=self.targets(ordered).clone()
        )


def merge(sources: Sequence[SyntheticSource]) -> SyntheticSource:
    """All images of several synthetic sets as one set; a single source stays what it is.

    Learned learning rates are averaged. The merged set has no header: no one distillation made it.

    Raises:
        NotApplicable: one of several sources is no set of images, or their labels differ in kind.
    """
    first, *others = sources
    if not others:
        return first
    sets = [source for source in sources if isinstance(source, SyntheticSet)]
    if len(sets) < len(sources) or len({one.label_kind for one in sets}) > 1:
        raise NotApplicable("only sets of images with labels of one kind can be merged")
    rates = [one.learning_rate for one in sets if one.learning_rate is not None]
    return SyntheticSet(
        images=torch.cat([one.images for one in sets]),
        labels=torch.cat([one.labels for one in sets]),
        learning_rate=fmean(rates) if rates else None,
    )


class SyntheticSource(Protocol):
    """What a method hands over: something a student can train on, epoch by epoch."""

    @property
    def label_kind(self) -> LabelKind:
        """``hard`` for class indices, ``soft`` for logits."""

    @property
    def learning_rate(self) -> float | None:
        """The learned student learning rate, if the method learns one."""

    @property
    def stored_bytes(self) -> int:
        """Bytes that must be kept to train from this source again."""

    def epoch(self, rng: Generator) -> tuple[Tensor, Tensor]:
        """Images and labels of one epoch; a generator draws them anew each time."""

    def to(self, device: torch.device | str) -> SyntheticSource:
        """The same source on another device."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticSet:
    """Synthetic images with their labels.

    Attributes:
        images: ``(N, C, H, W)`` float32 in model-input space; never clipped.
        labels: ``(N,)`` int64 class indices, or ``(N, K)`` float32 logits.
        learning_rate: the learned student learning rate, or ``None``.
        header: what the set says about itself; the framework fills it in.
    """

    images: Tensor
    labels: Tensor
    learning_rate: float | None = None
    header: Header | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.images.shape))
        made = f", {self.header.method} on {self.header.dataset}" if self.header else ""
        return f"SyntheticSet({shape}, {self.label_kind} labels{made})"

    @property
    def label_kind(self) -> LabelKind:
        """``hard`` for class indices, ``soft`` for logits."""
        return "hard" if self.labels.ndim == 1 else "soft"

    @property
    def stored_bytes(self) -> int:
        """Bytes of images, labels and learning rate as stored."""
        tensors = self.images.nbytes + self.labels.nbytes
        return tensors + (4 if self.learning_rate is not None else 0)

    def epoch(self, rng: Generator) -> tuple[Tensor, Tensor]:
        """All images with all labels, the same each epoch."""
        return self.images, self.labels

    def to(self, device: torch.device | str) -> SyntheticSet:
        """The same set on another device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def to_dataset(self) -> TensorDataset:
        """A ``torch.utils.data.Dataset`` of ``(image, label)`` pairs."""
        from torch.utils.data import TensorDataset

        return TensorDataset(self.images, self.labels)

    def check(self, spec: DatasetSpec) -> SyntheticSet:
        """Return the set itself if it fits ``spec``.

        Raises:
            ContractError: wrong shape, type or count, labels out of range, NaN or infinity.
        """
        for problem, found in self._problems(spec):
            if found():
                raise ContractError(f"{self!r} cannot be used with {spec.name}: {problem}.")
        return self

    def _problems(self, spec: DatasetSpec) -> list[tuple[str, Callable[[], bool]]]:
        images, labels, classes = self.images, self.labels, len(spec.classes)
        shape = "×".join(map(str, spec.shape))
        return [
            (f"images must be (N, C, H, W) of {shape}", lambda: images.shape[1:] != spec.shape),
            ("there are no images", lambda: len(images) == 0),
            (
                f"images are {images.dtype}; give floating point in model-input space",
                lambda: not images.is_floating_point(),
            ),
            (
                f"there are {len(images)} images but {len(labels)} labels",
                lambda: len(images) != len(labels),
            ),
            (
                f"labels must be (N,) class indices or (N, {classes}) logits, "
                f"not {tuple(labels.shape)}",
                lambda: labels.ndim != 1 and labels.shape[1:] != (classes,),
            ),
            (
                f"class indices must be int64, not {labels.dtype}",
                lambda: labels.ndim == 1 and labels.dtype != torch.int64,
            ),
            (
                f"labels must lie in [0, {classes})",
                lambda: labels.ndim == 1 and not bool(((labels >= 0) & (labels < classes)).all()),
            ),
            (
                f"logits must be floating point, not {labels.dtype}",
                lambda: labels.ndim == 2 and not labels.is_floating_point(),
            ),
            ("images hold NaN or infinity", lambda: not bool(images.isfinite().all())),
            (
                "labels hold NaN or infinity",
                lambda: labels.ndim == 2 and not bool(labels.isfinite().all()),
            ),
            (
                f"the learned learning rate is {self.learning_rate}; it must be positive",
                lambda: (
                    self.learning_rate is not None and not 0 < self.learning_rate < float("inf")
                ),
            ),
        ]
