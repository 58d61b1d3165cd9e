"""Pixel arrays that may be larger than memory, and what is computed over them."""

from __future__ import annotations

import math
import shutil
import tempfile
from typing import TYPE_CHECKING

from bench.datasets.locations import cache_folder
from bench.errors import StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IN_MEMORY_BYTES = 2 * 2**30
"""Larger arrays live in an unnamed file in the cache folder, mapped into memory."""

CHUNK = 4096
"""Images copied or counted at a time."""


def allocate(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An uninitialised uint8 array, in memory or, when large, in a file that ends with it.

    Raises:
        StoreError: the cache folder has no room for it.
    """
    import numpy as np

    size = math.prod(shape)
    if size <= IN_MEMORY_BYTES:
        return np.empty(shape, np.uint8)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # asked beforehand: a mapped file that outgrows its disk kills the process
        if shutil.disk_usage(folder).free < size:
            raise OSError("not enough free space")
        with tempfile.TemporaryFile(dir=folder) as file:
            return np.memmap(file, np.uint8, mode="w+", shape=shape)
    except OSError as error:
        raise StoreError(
            f"{folder} cannot hold {size / 2**30:.1f} GiB: {error.strerror or error}. "
            f"Free space or set BENCH_CACHE to a folder on another disk."
        ) from error


def take(pixels: NDArray[np.uint8], index: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Rows of ``pixels`` as a new array, copied piece by piece."""
    chosen = allocate((len(index), *pixels.shape[1:]))
    for start in range(0, len(index), CHUNK):
        chosen[start : start + CHUNK] = pixels[index[start : start + CHUNK]]
    return chosen


def statistics(pixels: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and population standard deviation of each channel, in [0, 1], to four decimals.

    Computed from exact counts of the 256 values, so that they are the same on every machine.
    """
    import numpy as np

    counts = np.zeros((pixels.shape[1], 256), np.int64)
    for start in range(0, len(pixels), CHUNK):
        for channel, total in enumerate(counts):
            total += np.bincount(pixels[start : start + CHUNK, channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    mean = counts @ values / counts.sum(1)
    variance = counts @ values**2 / counts.sum(1) - mean**2
    mean, std = mean.round(4).tolist(), np.sqrt(variance.clip(0)).round(4).tolist()
    return tuple(mean), tuple(std)
