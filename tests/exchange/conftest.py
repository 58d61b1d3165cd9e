"""A small RGB dataset with photograph-like pixels, and sets in every state a stranger may send."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from bench.data import Header, SyntheticSet
from bench.exchange import Imported, read
from bench.preprocessing import Preprocessing
from bench.randomness import generator
from bench.specs import Budget, DatasetSpec

SIDE = 16


def photographs(count: int, seed: int = 0) -> Tensor:
    """``(count, 3, 16, 16)`` uint8: smooth, bright on average 0.47, like a photograph's pixels."""
    rng = generator("photographs", seed)
    light = torch.randn(count, 1, 5, 5, generator=rng)
    colour = 0.3 * torch.randn(count, 3, 3, 3, generator=rng)
    smooth = [interpolate(x, SIDE, mode="bilinear", align_corners=True) for x in (light, colour)]
    return (0.47 + 0.25 * (smooth[0] + smooth[1])).clamp(0, 1).mul(255).round().byte()


@pytest.fixture(scope="session")
def pixels() -> Tensor:
    """Six photographs, two a class."""
    return photographs(6)


@pytest.fixture(scope="session")
def spec() -> DatasetSpec:
    """Three classes whose names do not sort in the order of their labels."""
    unit = photographs(500, seed=1).double() / 255
    return DatasetSpec(
        name="toy",
        classes=("zebra", "ant", "mole"),
        channels=3,
        size_px=SIDE,
        mean=tuple(unit.mean((0, 2, 3)).tolist()),
        std=tuple(unit.std((0, 2, 3)).tolist()),
    )


@pytest.fixture(scope="session")
def normalise(spec: DatasetSpec) -> Preprocessing:
    return Preprocessing.normalize(spec)


@pytest.fixture(scope="session")
def whiten() -> Preprocessing:
    return Preprocessing.fit_zca(photographs(1500, seed=2))


@pytest.fixture
def images(pixels: Tensor, normalise: Preprocessing) -> Tensor:
    """Six learned images, normalised: photographs with noise, so no grey levels are left."""
    noise = torch.randn(pixels.shape, generator=generator("noise"))
    return normalise.forward(pixels) + 0.1 * noise


@pytest.fixture
def labels() -> Tensor:
    return torch.tensor([0, 0, 1, 1, 2, 2])


@pytest.fixture
def synthetic(
    images: Tensor, labels: Tensor, spec: DatasetSpec, normalise: Preprocessing
) -> SyntheticSet:
    """A set of our own with a learning rate that float32 cannot hold."""
    header = Header(
        dataset=spec.name,
        classes=spec.classes,
        budget=Budget("ipc", 2),
        preprocessing=normalise.header(),
        method="dm",
        parameters={"iterations": 10, "lr_images": 1.0, "init": "real"},
        created={"seed": 3, "device": "cpu"},
    )
    return SyntheticSet(images=images, labels=labels, learning_rate=0.1, header=header)


@pytest.fixture
def import_set(spec: DatasetSpec, normalise: Preprocessing) -> Callable[..., Imported]:
    """``read`` for the toy dataset, normalised unless stated otherwise."""

    def import_set(path: Path, **options: object) -> Imported:
        return read(path, **{"spec": spec, "preprocessing": normalise, **options})  # type: ignore[arg-type]

    return import_set
