"""The same images under other labels: class indices alone, or what a teacher says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn

from bench.data import LabelKind, RealSet, SyntheticSet, SyntheticSource
from bench.errors import ContractError, NotApplicable
from bench.recipes import Labels
from bench.teachers import soft_labels


def relabel(source: SyntheticSource, labels: Labels, teacher: nn.Module | None) -> SyntheticSource:
    """``source`` with its own, hard or a teacher's labels.

    Args:
        source: images with the labels that a method handed over.
        labels: ``own``; ``hard`` for class indices, of soft labels the likeliest class;
            ``teacher`` for the teacher's logits of the images as they are.
        teacher: in eval mode, on the device of the images; asked for ``teacher`` alone.

    Raises:
        ContractError: a teacher's labels without a teacher.
        NotApplicable: a teacher's labels for a whole training set.
    """
    if labels == "own" or (labels == "hard" and source.label_kind == "hard"):
        return source
    if labels == "hard":
        return _relabelled(source, None)
    if teacher is None:
        raise ContractError("The recipe asks for a teacher's labels; the protocol must give one.")
    if isinstance(source, RealSet):
        raise NotApplicable("the whole training set keeps its own labels")
    return _relabelled(source, teacher)


def _relabelled(source: SyntheticSource, teacher: nn.Module | None) -> SyntheticSource:
    """A set gets its labels once; a source that draws its images gets them as they come."""
    if isinstance(source, SyntheticSet):
        return replace(source, labels=_labels(teacher, source.images, source.labels))
    return _Relabelled(source=source, teacher=teacher)


def _labels(teacher: nn.Module | None, images: Tensor, labels: Tensor) -> Tensor:
    """The teacher's logits ``(N, K)``; without one, the likeliest class ``(N,)`` of soft labels."""
    return labels.argmax(1) if teacher is None else soft_labels(teacher, images)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Relabelled:
    """A source that draws its images, with other labels."""

    source: SyntheticSource
    teacher: nn.Module | None

    @property
    def label_kind(self) -> LabelKind:
        return "hard" if self.teacher is None else "soft"

    @property
    def learning_rate(self) -> float | None:
        return self.source.learning_rate

    @property
    def stored_bytes(self) -> int:
        return self.source.stored_bytes

    def epoch(self, rng: Generator) -> tuple[Tensor, Tensor]:
        images, labels = self.source.epoch(rng)
        return images, _labels(self.teacher, images, labels)

    def to(self, device: torch.device | str) -> SyntheticSource:
        teacher = self.teacher and self.teacher.to(device)
        return replace(self, source=self.source.to(device), teacher=teacher)
