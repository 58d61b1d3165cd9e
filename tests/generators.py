"""A small generator of three classes, trained enough to differ from a fresh one."""

from __future__ import annotations

from dataclasses import replace

import torch

from bench.generators import SyntheticGenerator
from bench.networks.gan import GanShape, ImageGenerator, build_gan
from bench.preprocessing import Preprocessing
from bench.randomness import generator
from bench.specs import Budget, DatasetSpec, Header

SPEC = DatasetSpec(
    name="toy",
    classes=("a", "b", "ü/…"),
    channels=3,
    size_px=8,
    mean=(0.4914, 0.4822, 1 / 3),
    std=(0.2023, 0.1994, 0.2010),
)
SPACE = Preprocessing.normalize(SPEC)
SHAPE = GanShape(width=4, latent=7, num_classes=3, channels=3, size_px=8)
HEADER = Header(
    dataset="toy",
    classes=SPEC.classes,
    budget=Budget("inpc", 5),
    preprocessing=SPACE.header(),
    method="dim",
    parameters={"width": 4},
    created={"seed": 3},
)


def trained(shape: GanShape = SHAPE) -> ImageGenerator:
    """A generator whose batch-norm statistics are not those of a fresh one."""
    network, _ = build_gan(shape, generator("generators"))
    rng = generator("generators", "training")
    labels = torch.arange(30) % shape.num_classes
    for _ in range(3):
        network(shape.draw_latent(labels, rng))
    return network


def make(per_class: int = 5, header: Header | None = HEADER) -> SyntheticGenerator:
    source = SyntheticGenerator.of(trained(), SHAPE, SPACE, per_class)
    return replace(source, header=header)
