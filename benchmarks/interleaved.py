"""Timing contenders side by side: in every round each of them once, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch

from bench.measure import synchronize

ROUNDS = 3
"""Of every measurement, after those that warm up."""

Contender = Callable[[], float]
"""Does its work once; the seconds it took."""


def timed(work: Callable[[], object], device: torch.device) -> Contender:
    """``work`` with a clock around it that waits for the device."""

    def once() -> float:
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        return time.perf_counter() - start

    return once


def rounds(contenders: Mapping[str, Contender], count: int) -> dict[str, list[float]]:
    """Seconds of every contender in each of ``count`` rounds."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(count):
        for name, contender in contenders.items():
            found[name].append(contender())
    return found


def summary(seconds: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """Least and median seconds of each contender."""
    return {
        name: {"min": min(values), "median": median(values)} for name, values in seconds.items()
    }
