"""What every test of the networks needs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.specs import DatasetSpec


@pytest.fixture
def spec_of() -> Callable[..., DatasetSpec]:
    """Make a dataset spec of any shape."""

    def make(channels: int, size_px: int, num_classes: int = 10) -> DatasetSpec:
        return DatasetSpec(
            name=f"images of {channels}x{size_px}x{size_px}",
            classes=tuple(str(label) for label in range(num_classes)),
            channels=channels,
            size_px=size_px,
            mean=(0.5,) * channels,
            std=(0.25,) * channels,
        )

    return make
