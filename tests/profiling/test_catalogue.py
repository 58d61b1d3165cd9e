"""The device catalogue."""

from __future__ import annotations

import pytest

from bench.errors import UnknownName
from bench.profiling import catalogue


def test_every_number_names_its_source() -> None:
    for device in catalogue.devices().values():
        for number in (device.memory_gib, device.fp32_tflops, device.bandwidth_gb_s):
            assert len(number.source) > 10


def test_torch_can_use_less_than_is_printed_on_the_box() -> None:
    boxes = {"rtx4090": 24, "a100-40gb": 40, "a100-80gb": 80, "v100-32gb": 32, "a6000": 48}
    boxes |= {"h100": 80, "h200": 141, "l4": 24, "t4": 16, "laptop": 16}
    assert set(boxes) == set(catalogue.devices())
    for name, gib in boxes.items():
        assert 0.7 * gib < catalogue.device(name).memory_gib.value < gib


def test_an_unknown_device_is_named_with_its_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'rtx4090'"):
        catalogue.device("rtx4080")
