"""Labels as strangers store them, brought to the two kinds of this suite, or refused.

Hard: ``(N,)`` int64 in [0, K). Soft: ``(N, K)`` float32 **logits**. Rows of probabilities, as
TESLA stores them, become logits by the logarithm, since softmax(log p) = p; a softmax of
probabilities taken for logits would train silently and badly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.errors import BadFile
from bench.specs import Budget, DatasetSpec

SUM_TOLERANCE = 1e-2
"""How far a row of probabilities may be from 1 in sum, for labels stored in half precision."""

LEAST_PROBABILITY = 1e-12
"""Probabilities are raised to this before the logarithm, so that zero stays finite."""


def canonical(
    labels: Tensor | None, count: int, spec: DatasetSpec, source: str
) -> tuple[Tensor, tuple[str, ...]]:
    """Labels of ``count`` images in one of the two kinds, and what was done, as sentences.

    Args:
        labels: as stored, or ``None`` if rows are sorted by class.
        count: number of images.
        spec: the dataset.
        source: names the file in messages.

    Raises:
        BadFile: another number of labels than images, another shape, NaN, or out of range.
    """
    classes = spec.num_classes
    if labels is None:
        if count % classes:
            raise BadFile(f"{source} holds {count} images of {classes} classes without labels.")
        note = f"No labels are stored; rows were taken as sorted by class, {count // classes} each."
        return torch.arange(classes).repeat_interleave(count // classes), (note,)
    if labels.ndim == 2 and labels.shape[1] == 1 and classes > 1:
        labels = labels[:, 0]
    if labels.shape not in ((count,), (count, classes)):
        raise BadFile(
            f"{source} holds {count} images but labels of shape {tuple(labels.shape)}; expected "
            f"({count},) class indices or ({count}, {classes}) logits."
        )
    if not bool(labels.double().isfinite().all()):
        raise BadFile(f"{source} holds labels that are NaN or infinite.")
    return _hard(labels, spec, source) if labels.ndim == 1 else _soft(labels)


def check_count(count: int, budget: Budget | None, spec: DatasetSpec, source: str) -> Budget:
    """The budget of a set of ``count`` images: the one stated, or the one its count implies.

    Raises:
        BadFile: the count is not classes × images per class.
    """
    classes = spec.num_classes
    if count == 0:
        raise BadFile(f"{source} holds no images.")
    if budget is None:
        if count % classes:
            raise BadFile(
                f"{source} holds {count} images, which is no multiple of the {classes} classes of "
                f"{spec.name}; a set has classes × images per class."
            )
        return Budget("ipc", count // classes)
    if budget.kind == "inpc":
        raise BadFile(
            f"{source} holds a fixed set of images; the budget {budget} is for generators. "
            f"Give images per class."
        )
    if budget.kind == "ipc" and count != classes * budget.count:
        raise BadFile(
            f"{source} holds {count} images; {spec.name} at {budget} has {classes} × "
            f"{budget.count} = {classes * budget.count}."
        )
    return budget


def _hard(labels: Tensor, spec: DatasetSpec, source: str) -> tuple[Tensor, tuple[str, ...]]:
    indices = labels.to(torch.int64, copy=True)
    if labels.is_floating_point() and not bool((indices == labels).all()):
        raise BadFile(f"{source} holds fractional class indices; give integers.")
    least, most = int(indices.min()), int(indices.max())
    if least < 0 or most >= spec.num_classes:
        raise BadFile(
            f"{source} holds labels from {least} to {most}; {spec.name} has the labels 0 to "
            f"{spec.num_classes - 1}."
        )
    counts = indices.bincount(minlength=spec.num_classes)
    least, most = int(counts.min()), int(counts.max())
    if least == most:
        return indices, ()
    return indices, (f"Classes have from {least} to {most} images each.",)


def _soft(labels: Tensor) -> tuple[Tensor, tuple[str, ...]]:
    values = labels.double()
    if bool(((values == 0) | (values == 1)).all()) and bool((values.sum(1) == 1).all()):
        return values.argmax(1), ("One-hot labels were taken as class indices.",)
    if bool((values >= 0).all()) and bool(((values.sum(1) - 1).abs() <= SUM_TOLERANCE).all()):
        logits = values.clamp(min=LEAST_PROBABILITY).log().float()
        return logits, ("Labels are probabilities; their logarithms were taken as logits.",)
    return labels.float().clone(), ()
