"""Whether a forecast fits on a device, and what would make it fit."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from bench.profiling.catalogue import Device
from bench.profiling.rules import Allowances

_STRAIGHT_TRIES = 4
"""Enough where peaks lie on a line: the answer, the number after it, and two lost to rounding."""


def room_bytes(device: Device, allowances: Allowances) -> int:
    """The largest peak for which ``device`` has memory, with gaps, libraries and context."""
    rest = device.memory_bytes - allowances.workspace_bytes - allowances.context_bytes
    return int(rest / (1 + allowances.fragmentation))


def fits(peak_bytes: int, device: Device, allowances: Allowances) -> bool:
    """Whether a phase with this peak runs on ``device``."""
    return peak_bytes <= room_bytes(device, allowances)


def largest(peak: Callable[[int], int], room: int, low: int, high: int) -> int | None:
    """The largest number from ``low`` to ``high`` whose peak is at most ``room``.

    Peaks mostly lie near a straight line, so the next number to try is where the line through both
    ends of the search meets ``room``. If a few such tries do not find it, every second one halves
    what is left. The answer and the number after it have both been tried.

    Args:
        peak: bytes at a number; never falls as numbers grow.
        room: bytes that there are.
        low: the smallest number to try.
        high: the largest.

    Returns:
        That number; ``None`` if not even ``low`` has room.
    """
    least, most = peak(low), peak(high)
    if most <= room:
        return high
    if least > room:
        return None
    for attempt in count(1):
        if high - low == 1:
            break
        straight = attempt <= _STRAIGHT_TRIES or attempt % 2
        share = (room - least) / (most - least) if straight else 0.5
        middle = min(max(low + int(share * (high - low)), low + 1), high - 1)
        found = peak(middle)
        if found <= room:
            low, least = middle, found
        else:
            high, most = middle, found
    return low


def halved_until(holds: Callable[[int], bool], start: int) -> int | None:
    """The first of ``start // 2``, ``start // 4`` … that ``holds``; ``None`` if 1 does not."""
    value = start // 2
    while value >= 1:
        if holds(value):
            return value
        value //= 2
    return None
