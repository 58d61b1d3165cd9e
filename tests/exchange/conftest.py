"""A small RGB dataset with photograph-like pixels, and sets in every state a stranger may send."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from bench.data import SyntheticSet
from bench.exchange import Imported, read
from bench.preprocessing import Preprocessing
from bench.randomness import generator
from bench.specs import Budget, DatasetSpec, Header

SIDE = 16


def _photographs(count: int, seed: int = 0) -> Tensor:
    """``(count, 3, 16, 16)`` uint8 with a photograph's spectrum: the finer, the fainter."""
    rng = generator("photographs", seed)
    total = torch.zeros(count, 3, SIDE, SIDE)
    for cells, light, colour in (
        (3, 0.16, 0.08),
        (5, 0.12, 0.04),
        (9, 0.08, 0.03),
        (16, 0.02, 0.01),
    ):
        for strength, channels in ((light, 1), (colour, 3)):
            coarse = torch.randn(count, channels, cells, cells, generator=rng)
            total += strength * interpolate(coarse, SIDE, mode="bilinear", align_corners=True)
    return (0.47 + total).clamp(0, 1).mul(255).round().byte()


@pytest.fixture(scope="session")
def photographs() -> Callable[..., Tensor]:
    """``photographs(count, seed=0)``: so many ``(3, 16, 16)`` uint8 images."""
    return _photographs


@pytest.fixture(scope="session")
def pixels() -> Tensor:
    """Six photographs, two a class."""
    return _photographs(6)


@pytest.fixture(scope="session")
def spec() -> DatasetSpec:
    """Three classes whose names do not sort in the order of their labels."""
    unit = _photographs(500, seed=1).double() / 255
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
    return Preprocessing.fit_zca(_photographs(1500, seed=2))


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
