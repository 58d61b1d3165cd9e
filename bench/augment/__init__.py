"""Augmentations by name: what a recipe calls for, built for a dataset.

========== ============================================================================
name       what one call does
========== ============================================================================
none       nothing
dsa        one of colour, crop, cutout, flip, scale, rotate for the batch (DSA)
color-crop colour, then crop, always both (DiM's training of networks)
crop-flip  crop, then flip: the usual augmentation of a real-data training
dc         a crop, a scaling or a rotation, chosen anew for every image (DC on MNIST)
randaugment, autoaugment   kornia's policies, on pixels; no gradient reaches the images
========== ============================================================================

All but the last two are differentiable; matching methods, which share a draw between two batches or
replay it, get them from :func:`build_differentiable`. No flip where a dataset's labels change in
the mirror.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Protocol

from torch import Generator, Tensor

from bench.augment import policies
from bench.augment.differentiable import STRATEGIES, DifferentiableAugmentation
from bench.augment.families import Flip
from bench.errors import InvalidValue, UnknownName
from bench.parameters import OneOf

if TYPE_CHECKING:
    from bench.preprocessing import Preprocessing
    from bench.specs import DatasetSpec


class Augmentation(Protocol):
    """Random, label-preserving changes to a batch."""

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        """Change ``images`` ``(N, C, S, S)``, in model-input space, by one draw from ``rng``."""


def together(
    augmentation: Augmentation, batches: Sequence[Tensor], rngs: Sequence[Generator]
) -> list[Tensor]:
    """``augmentation`` of several batches, each by a draw from a generator of its own."""
    if isinstance(augmentation, DifferentiableAugmentation):
        return augmentation.together(batches, rngs)
    return [augmentation(images, rng) for images, rng in zip(batches, rngs, strict=True)]


def names() -> tuple[str, ...]:
    """Every name that :func:`build` accepts, sorted."""
    return tuple(sorted([*STRATEGIES, *policies.NAMES]))


AugmentationName = Annotated[str, OneOf(names())]
"""A parameter that names one of them."""


def build(name: str, spec: DatasetSpec, preprocessing: Preprocessing | None = None) -> Augmentation:
    """The augmentation ``name`` for images of ``spec``.

    Args:
        name: one of :func:`names`.
        spec: the dataset; ``mirror`` decides on flips.
        preprocessing: the way between pixels and model-input space, for the policies on pixels.

    Raises:
        UnknownName: no augmentation of that name.
        InvalidValue: a policy on pixels without ``preprocessing``.
    """
    if name in STRATEGIES:
        return build_differentiable(name, spec)
    if name not in policies.NAMES:
        raise UnknownName("augmentation", name, names())
    if preprocessing is None:
        raise InvalidValue(
            f"The augmentation {name!r} changes pixels, so it must know how {spec.name!r} was "
            f"preprocessed; give its preprocessing, or choose one of {', '.join(STRATEGIES)}."
        )
    return policies.build(name, spec, preprocessing)


def build_differentiable(name: str, spec: DatasetSpec) -> DifferentiableAugmentation:
    """The augmentation ``name``, which gradients pass and whose draws can be shared and replayed.

    Raises:
        UnknownName: no differentiable augmentation of that name.
    """
    if name not in STRATEGIES:
        raise UnknownName("differentiable augmentation", name, STRATEGIES)
    stages = (
        tuple(family for family in stage if spec.mirror or not isinstance(family, Flip))
        for stage in STRATEGIES[name]
    )
    return DifferentiableAugmentation(tuple(stage for stage in stages if stage))
