"""Differentiable augmentation in stages: DSA and its relatives.

From every stage one family is drawn uniformly for the whole batch; stages apply in order. DSA has
one stage of six families, DiM's colour-and-crop two of one family each, no augmentation none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

import torch
from torch import Generator, Tensor

from bench.augment.families import (
    Color,
    Crop,
    CropScaleOrRotate,
    Cutout,
    Family,
    Flip,
    Rotate,
    Scale,
)
from bench.errors import ContractError
from bench.parameters import OneOf
from bench.randomness import choose

Stages = tuple[tuple[Family, ...], ...]

STRATEGIES: Mapping[str, Stages] = MappingProxyType(
    {
        "none": (),
        "dsa": ((Color(), Crop(), Cutout(), Flip(), Scale(), Rotate()),),
        "color-crop": ((Color(),), (Crop(),)),
        "crop-flip": ((Crop(),), (Flip(),)),
        "dc": ((CropScaleOrRotate(),),),
    }
)
"""Stages by name; DiM's from vimar-gu/DiM@3657339, augment.py."""

DifferentiableName = Annotated[str, OneOf(STRATEGIES)]
"""A parameter that names one of them."""


@dataclass(frozen=True, eq=False)
class Operation:
    """A family with its parameters.

    Attributes:
        family: what is done.
        parameters: ``(N, P)`` float32 on the CPU, one row an image, or ``(1, P)`` for all images.
    """

    family: Family
    parameters: Tensor

    def apply(self, images: Tensor) -> Tensor:
        """Change ``images`` ``(N, C, S, S)``; the device is not waited for.

        Raises:
            ContractError: parameters drawn for a batch of another size.
        """
        if len(self.parameters) not in (1, len(images)):
            raise ContractError(
                f"An augmentation drawn for {len(self.parameters)} images was applied to "
                f"{len(images)}; draw it for the batch, or siamese to share it between batches."
            )
        return self.family.apply(images, self.parameters.to(images.device, non_blocking=True))


@dataclass(frozen=True, eq=False)
class Draw:
    """One outcome of an augmentation's dice; applying it again gives the same result."""

    operations: tuple[Operation, ...]

    def apply(self, images: Tensor) -> Tensor:
        """Change ``images`` ``(N, C, S, S)``, differentiably."""
        for operation in self.operations:
            images = operation.apply(images)
        return images


@dataclass(frozen=True)
class DifferentiableAugmentation:
    """An augmentation that gradients pass and whose draws can be kept.

    Attributes:
        stages: the families to choose from, stage by stage.
    """

    stages: Stages

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        """Change ``images`` ``(N, C, S, S)`` by a fresh draw, each by its own parameters."""
        return self.draw(images.shape, rng).apply(images)

    def draw(self, shape: Sequence[int], rng: Generator, *, siamese: bool = False) -> Draw:
        """Draw families and parameters for a batch of ``shape`` ``(N, C, S, S)``.

        Args:
            shape: of the images to come.
            rng: a CPU generator.
            siamese: one set of parameters for all images, of this batch and of any other.
        """
        count, size_px = 1 if siamese else shape[0], shape[-1]
        families = (stage[choose(len(stage), rng)] for stage in self.stages)
        return Draw(
            tuple(Operation(family, family.draw(count, size_px, rng)) for family in families)
        )

    def together(self, batches: Sequence[Tensor], rngs: Sequence[Generator]) -> list[Tensor]:
        """Change several batches, each by a fresh draw from a generator of its own.

        Images whose batches drew the same family go through it together: on a GPU a few large
        kernels take the place of many small ones.

        Args:
            batches: each ``(N, C, S, S)``; N may differ.
            rngs: a CPU generator for each.
        """
        draws = [self.draw(images.shape, rng) for images, rng in zip(batches, rngs, strict=True)]
        changed = list(batches)
        for operations in zip(*(draw.operations for draw in draws), strict=True):
            for family in dict.fromkeys(operation.family for operation in operations):
                places = [at for at, one in enumerate(operations) if one.family == family]
                parameters = torch.cat([operations[at].parameters for at in places])
                images = [changed[at] for at in places]
                found = Operation(family, parameters).apply(torch.cat(images))
                for at, part in zip(places, found.split([*map(len, images)]), strict=True):
                    changed[at] = part
        return changed

    def pair(self, real: Tensor, synthetic: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        """Change two batches by the same siamese draw, as DSA and DM do once for every class."""
        draw = self.draw(real.shape, rng, siamese=True)
        return draw.apply(real), draw.apply(synthetic)
