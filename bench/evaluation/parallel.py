"""Seeds side by side on the CPU, one thread each.

Operators release Python's lock while they compute, and a small network keeps one core busy but
not two: two students on two cores finish before two cores have trained one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def side_by_side(work: Callable[[int], T], seeds: Sequence[int]) -> list[T]:
    """``work(seed)`` for every seed, as many at once as torch has threads; the results in order.

    Each runs with one thread of torch's, so that a seed's result depends on neither how many run
    nor how many cores there are.
    """
    threads = min(torch.get_num_threads(), len(seeds))

    def alone(seed: int) -> T:
        torch.set_num_threads(1)
        return work(seed)

    with ThreadPoolExecutor(threads, thread_name_prefix="student") as pool:
        return list(pool.map(alone, seeds))
