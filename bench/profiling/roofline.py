"""Time by roofline: an operator takes as long as its arithmetic, its traffic or its launch.

Williams, Waterman & Patterson, CACM 2009. Operators follow one another, so a step takes the sum
over them of the largest of the three.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

import torch

from bench import measure
from bench.profiling.catalogue import Device, devices
from bench.profiling.forecast import Work
from bench.profiling.rules import Allowances

COPIED_BYTES = 256 * 2**20
"""Size of the tensor whose copying measures bandwidth: larger than caches, longer than a launch."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How fast a device works.

    Attributes:
        flops_per_second: of convolutions in float32.
        bytes_per_second: of elementwise kernels.
        operator_seconds: from one launch to the next.
    """

    flops_per_second: float
    bytes_per_second: float
    operator_seconds: float

    def seconds(self, work: Work) -> float:
        """How long ``work`` takes."""
        return sum(
            count
            * max(
                cost.flops / self.flops_per_second,
                cost.bytes_moved / self.bytes_per_second,
                self.operator_seconds,
            )
            for cost, count in work.items()
        )


def expected(device: Device, allowances: Allowances) -> Rates:
    """The rates that a device is expected to reach: its datasheet's, times a stated share."""
    return Rates(
        flops_per_second=allowances.flops_share * 1e12 * device.fp32_tflops.value,
        bytes_per_second=allowances.bandwidth_share * 1e9 * device.bandwidth_gb_s.value,
        operator_seconds=allowances.operator_seconds,
    )


def calibrate(allowances: Allowances, device: torch.device) -> Allowances:
    """The allowances with the shares that the device at hand reaches, if the catalogue has it."""
    if device.type != "cuda":
        return allowances
    name = torch.cuda.get_device_name(device)
    known = next((entry for entry in devices().values() if entry.cuda_name == name), None)
    if known is None:
        return allowances
    reached = calibrated(device)
    return replace(
        allowances,
        flops_share=reached.flops_per_second / (1e12 * known.fp32_tflops.value),
        bandwidth_share=reached.bytes_per_second / (1e9 * known.bandwidth_gb_s.value),
        operator_seconds=reached.operator_seconds,
    )


def calibrated(device: torch.device) -> Rates:
    """The rates that the device at hand reaches now, by three kernels."""
    large = torch.ones(COPIED_BYTES // 4, device=device)
    copy, small = torch.empty_like(large), torch.ones(1, device=device)
    return Rates(
        flops_per_second=measure.flops_per_second(device),
        bytes_per_second=2 * COPIED_BYTES / _seconds(device, lambda: copy.copy_(large), 2),
        operator_seconds=_seconds(device, lambda: small.add_(1), 200),
    )


def _seconds(device: torch.device, kernel: Callable[[], object], times: int) -> float:
    """Seconds of one call: the median of five runs of ``times`` calls, after one to warm up."""
    runs = []
    for _ in range(6):
        measure.synchronize(device)
        start = time.perf_counter()
        for _ in range(times):
            kernel()
        measure.synchronize(device)
        runs.append((time.perf_counter() - start) / times)
    return median(runs[1:])
