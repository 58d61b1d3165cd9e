"""The devices that forecasts know: ``devices.toml``, read and checked; torch is not imported."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bench.errors import UnknownName


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Sourced(_Table):
    """A positive number and who says so."""

    value: Annotated[float, Field(gt=0)]
    source: Annotated[str, Field(min_length=1)]


class Device(_Table):
    """A device by its datasheet.

    Attributes:
        title: its name in words.
        cuda_name: what its driver calls it; ``None`` for a device without CUDA.
        memory_gib: memory that torch can use.
        fp32_tflops: 10¹² float32 operations a second.
        bandwidth_gb_s: 10⁹ bytes of its memory a second.
    """

    title: str
    cuda_name: str | None = None
    memory_gib: Sourced
    fp32_tflops: Sourced
    bandwidth_gb_s: Sourced

    @property
    def memory_bytes(self) -> int:
        """Memory that torch can use, in bytes."""
        return int(self.memory_gib.value * 2**30)


@cache
def devices() -> Mapping[str, Device]:
    """Every device by its name."""
    text = (files("bench") / "devices.toml").read_text(encoding="utf-8")
    return {name: Device.model_validate(entry) for name, entry in tomllib.loads(text).items()}


def device(name: str) -> Device:
    """The device called ``name``.

    Raises:
        UnknownName: the catalogue has no such device.
    """
    if name not in devices():
        raise UnknownName("device", name, devices())
    return devices()[name]
