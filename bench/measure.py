"""Peak memory and time, as the records state them.

On CUDA the peak is the allocator's. On the CPU it is the peak of live tensor storage: bytes of the
tensor storages alive at once, counted as operators create and drop them. That number is
deterministic, which process memory is not. Counting slows small operators down, so a phase of equal
steps is counted during its first step only.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_iter


class LiveStorage(TorchDispatchMode):
    """Counts the bytes of tensor storages that operators touch while the mode is active.

    Attributes:
        live_bytes: bytes alive now; a storage counts from the first operator that takes or returns
            it until it is freed.
        peak_bytes: the largest ``live_bytes`` so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live_bytes = 0
        self.peak_bytes = 0
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    @staticmethod
    @contextmanager
    def paused() -> Iterator[None]:
        """Work inside that has its own account: an enclosing count does not see it."""
        with _disable_current_modes():
            yield

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_iter((args, kwargs, result)):
            if isinstance(value, torch.Tensor):
                self._count(value.untyped_storage())
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        # the C++ storage's address: Python wrappers of one storage may come and go
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return

        def forget(_: object) -> None:
            if self._known.pop(key, None) is not None:
                self.live_bytes -= size

        self._known[key] = weakref.ref(storage, forget)
        self.live_bytes += size


class Peak:
    """The peak memory of a phase on ``device``, in bytes.

    Args:
        device: where the phase runs.
        known_bytes: what was measured before the phase was interrupted; 0 for a new phase.
    """

    def __init__(self, device: torch.device, known_bytes: int = 0) -> None:
        self.bytes = known_bytes
        self._cuda = device if device.type == "cuda" else None
        self._sampled = known_bytes > 0
        if self._cuda is not None:
            torch.cuda.reset_peak_memory_stats(self._cuda)

    @contextmanager
    def sample(self) -> Iterator[None]:
        """Wrap each of a phase's equal steps: on the CPU the first one is counted."""
        if self._cuda is not None:
            yield
            self.bytes = max(self.bytes, torch.cuda.max_memory_allocated(self._cuda))
            return
        if self._sampled:
            yield
            return
        self._sampled = True
        with LiveStorage() as live:
            yield
        self.bytes = live.peak_bytes


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that a clock read means what it says."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


CALIBRATION_FLOPS = 4 * 2 * 32 * 16 * 16 * 32 * 32 * 3 * 3
"""Floating-point operations of the calibration kernel: four convolutions of 32 images."""

ACCELERATOR_COPIES = 256
"""How many times as many images an accelerator is given at once, so that launches do not count."""


def calibrate(device: torch.device, repeats: int = 5) -> float:
    """Seconds of one fixed kernel (a 3×3 convolution, fp32), the median of ``repeats`` runs.

    Stands in every record, so that times from two machines can be compared. An accelerator would
    spend most of so small a kernel on its launch: it runs :data:`ACCELERATOR_COPIES` at once, and
    the time is of one.
    """
    copies = 1 if device.type == "cpu" else ACCELERATOR_COPIES
    images = torch.linspace(-1, 1, 32 * 32 * 16 * 16).reshape(32, 32, 16, 16).to(device)
    images = images.repeat(copies, 1, 1, 1)
    weight = torch.linspace(-1, 1, 32 * 32 * 3 * 3).reshape(32, 32, 3, 3).to(device)
    times = []
    for _ in range(repeats + 1):  # the first run warms up
        synchronize(device)
        start = time.perf_counter()
        for _ in range(4):
            torch.nn.functional.conv2d(images, weight, padding=1)
        synchronize(device)
        times.append((time.perf_counter() - start) / copies)
    return sorted(times[1:])[repeats // 2]


def flops_per_second(device: torch.device) -> float:
    """What the calibration kernel reaches on ``device``, in floating-point operations a second."""
    return CALIBRATION_FLOPS / calibrate(device)
