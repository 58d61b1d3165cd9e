"""Whether a forecast fits on a device, and what would make it fit."""

from __future__ import annotations

from collections.abc import Callable

from bench.profiling.catalogue import Device
from bench.profiling.rules import Allowances


def room_bytes(device: Device, allowances: Allowances) -> int:
    """The largest peak for which ``device`` has memory, with gaps, libraries and context."""
    rest = device.memory_bytes - allowances.workspace_bytes - allowances.context_bytes
    return int(rest / (1 + allowances.fragmentation))


def fits(peak_bytes: int, device: Device, allowances: Allowances) -> bool:
    """Whether a phase with this peak runs on ``device``."""
    return peak_bytes <= room_bytes(device, allowances)


def largest(holds: Callable[[int], bool], low: int, high: int) -> int | None:
    """The largest number from ``low`` to ``high`` that ``holds``, by bisection.

    Args:
        holds: true up to some number and false beyond it.
        low: the smallest number to try.
        high: the largest.

    Returns:
        That number; ``None`` if not even ``low`` holds.
    """
    if holds(high):
        return high
    if not holds(low):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def halved_until(holds: Callable[[int], bool], start: int) -> int | None:
    """The first of ``start // 2``, ``start // 4`` … that ``holds``; ``None`` if 1 does not."""
    value = start // 2
    while value >= 1:
        if holds(value):
            return value
        value //= 2
    return None
