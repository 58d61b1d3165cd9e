"""What the machine can do at most: its matrix-multiply rate and its copy bandwidth, measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch

from bench.measure import synchronize

SIZE = {"cpu": 2048, "cuda": 8192}
COPIED_BYTES = 256 * 2**20


@cache
def matmul_flops_per_second(device: torch.device, dtype: torch.dtype) -> float:
    """Of a square matrix product, the best of five."""
    size = SIZE.get(device.type, 4096)
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / _best(lambda: left @ right, device)


@cache
def copied_bytes_per_second(device: torch.device) -> float:
    """Read and written by a copy of a tensor larger than caches, the best of five."""
    source = torch.ones(COPIED_BYTES // 4, device=device)
    target = torch.empty_like(source)
    return 2 * COPIED_BYTES / _best(lambda: target.copy_(source), device)


def _best(kernel: Callable[[], object], device: torch.device) -> float:
    times = []
    for _ in range(6):
        synchronize(device)
        start = time.perf_counter()
        kernel()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])
