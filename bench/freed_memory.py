"""Memory that tensors have given back is kept for those to come.

Left alone, the GNU C library asks the system for the memory of each large tensor and returns it at
once, and the system clears every page anew: a million page faults, and a third of the processor's
time, in fifteen steps of a ConvNet on 64 FashionMNIST images. With memory that is kept these are
twenty thousand, and a hundredth.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""Parameters of ``mallopt``, as ``malloc.h`` numbers them."""

KEPT_BYTES = 2**31 - 1
"""Free memory at the end of the heap from which some of it goes back to the system."""


@cache
def keep_freed_memory() -> bool:
    """Have this process keep freed memory; whether it does.

    It does nothing where another C library is at work, or where the user has tuned this one.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ:
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - other libraries' mallopt counts otherwise
        tune = library.mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # one heap for all threads: a thread's own would be too small, and be mapped and returned
    wishes = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, KEPT_BYTES))
    heeded = [bool(tune(parameter, value)) for parameter, value in wishes]
    return all(heeded)
