"""What of a machine a piece of work claims, from what a forecast says of its memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.profiling.rules import Allowances

SMALLEST_SHARE = 0.05
"""Shares of a GPU are multiples of this: twenty processes at most have their contexts on it."""

PROCESS_BYTES = 768 * 2**20
"""Memory of a worker process before it has read any data: Python, torch and their libraries."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a node occupies while it is done.

    Attributes:
        cpus: CPU cores.
        gpus: GPUs; a share of one leaves the rest to others.
        memory_bytes: main memory; 0 claims none.
    """

    cpus: float = 1
    gpus: float = 0
    memory_bytes: int = 0


def gpu_share(peak_bytes: int, device_bytes: int, allowances: Allowances) -> float:
    """The share of a GPU that work with this forecast peak occupies, from 0.05 to 1.

    Args:
        peak_bytes: of the tensors, as a forecast says.
        device_bytes: memory of the GPU.
        allowances: what is added for gaps, libraries and the context.
    """
    whole = peak_bytes * (1 + allowances.fragmentation)
    whole += allowances.workspace_bytes + allowances.context_bytes
    steps = math.ceil(whole / device_bytes / SMALLEST_SHARE)
    return min(1.0, round(max(1, steps) * SMALLEST_SHARE, 2))


def on_gpu(
    peak_bytes: int | None, data_bytes: int, device_bytes: int, allowances: Allowances
) -> Claim:
    """The claim of work on a GPU: a whole one where its peak is not known.

    Args:
        peak_bytes: of the tensors on the GPU; ``None`` where no forecast is possible.
        data_bytes: of the dataset, which is read into main memory.
        device_bytes: memory of the smallest GPU of the cluster.
        allowances: what is added to the peak.
    """
    share = 1.0 if peak_bytes is None else gpu_share(peak_bytes, device_bytes, allowances)
    return Claim(gpus=share, memory_bytes=PROCESS_BYTES + 2 * data_bytes)


def on_cpu(peak_bytes: int | None, data_bytes: int, machine_bytes: int) -> Claim:
    """The claim of work on a CPU; never more than the largest machine has, or nobody would do it.

    Args:
        peak_bytes: of the tensors; ``None`` where no forecast is possible.
        data_bytes: of the dataset.
        machine_bytes: memory of the largest machine of the cluster.
    """
    whole = PROCESS_BYTES + 2 * data_bytes + (peak_bytes or 0)
    return Claim(memory_bytes=min(whole, machine_bytes))
