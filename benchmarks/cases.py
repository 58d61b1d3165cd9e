"""What evaluators are timed on: shapes of datasets, images per class, networks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from bench.data import RealSet, SyntheticSet
from bench.evaluation import Assignment
from bench.networks import forward_flops
from bench.preprocessing import Preprocessing
from bench.randomness import generator
from bench.recipes import Precision, Recipe
from bench.specs import DatasetSpec

STUDENTS = 5
FLOPS_AT_ONCE = 1e12
"""Floating-point operations timed in one go, about: some seconds of a CPU."""
EPOCHS = 1000
"""Of the training that is timed by some of its epochs; the engine chooses for this many."""


def _shape(name: str, channels: int, size_px: int) -> DatasetSpec:
    classes = tuple(f"class {label}" for label in range(10))
    halves = (0.5,) * channels
    return DatasetSpec(
        name=name, classes=classes, channels=channels, size_px=size_px, mean=halves, std=halves
    )


SHAPES = {
    shape.name: shape
    for shape in (_shape("digits", 1, 8), _shape("fashion-mnist", 1, 28), _shape("cifar10", 3, 32))
}


@dataclass(frozen=True)
class Case:
    """Five students of one network on random images of one shape.

    Attributes:
        shape: a name of :data:`SHAPES`.
        ipc: images per class; ten classes.
        network: the students'.
    """

    shape: str
    ipc: int
    network: str

    def __str__(self) -> str:
        return f"{self.shape} {self.network} ipc{self.ipc}"

    @cached_property
    def source(self) -> SyntheticSet:
        """Random images: how long a step takes does not depend on what they show."""
        labels = torch.arange(10).repeat_interleave(self.ipc)
        shape = SHAPES[self.shape].shape
        images = torch.randn(len(labels), *shape, generator=generator("benchmark", str(self)))
        return SyntheticSet(images=images, labels=labels)

    def assignment(self, precision: Precision, device: torch.device) -> Assignment:
        """What the evaluators are given; nothing is tested."""
        spec = SHAPES[self.shape]
        nothing = RealSet(
            pixels=torch.zeros(1, *spec.shape, dtype=torch.uint8),
            labels=torch.zeros(1, dtype=torch.int64),
            spec=spec,
            preprocessing=Preprocessing.normalize(spec),
            checksum="",
            device=device,
        )
        recipe = Recipe(epochs=EPOCHS, precision=precision)
        return Assignment(
            source=self.source.to(device), network=self.network, recipe=recipe, test=nothing
        )

    @property
    def epochs(self) -> int:
        """Epochs timed in one go, 2 to 20: students side by side end within one of each other."""
        return max(2, min(20, round(FLOPS_AT_ONCE / self.flops)))

    @property
    def flops(self) -> float:
        """Floating-point operations of one epoch of all students: a step is three forwards."""
        images = 10 * self.ipc * STUDENTS
        return 3 * forward_flops(self.network, SHAPES[self.shape]) * images


def _grid(shape: str, networks: tuple[str, ...], ipcs: tuple[int, ...] = (1, 10, 50)) -> list[Case]:
    return [Case(shape, ipc, network) for network in networks for ipc in ipcs]


COMMITTED = [
    *_grid("cifar10", ("convnet-d3",)),
    *_grid("cifar10", ("vgg11",), (1, 10)),
    *_grid("cifar10", ("resnet18",), (1,)),
    *_grid("fashion-mnist", ("convnet-d3",), (1, 10)),
    *_grid("digits", ("convnet-d2-w32",)),
]
"""The table in docs/benchmarks.md: minutes on two cores."""

FULL = [
    *_grid("cifar10", ("convnet-d3", "resnet18", "vgg11")),
    *_grid("fashion-mnist", ("convnet-d3", "resnet18", "vgg11")),
    *_grid("digits", ("convnet-d2", "convnet-d2-w32", "resnet18")),
]
"""Every shape with every network that takes it (VGG11 needs 28 px); hours on two cores."""
