"""How many students fit together: all, or half of them, or half of those."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

T = TypeVar("T")


def in_groups(work: Callable[[Sequence[int]], list[T]], seeds: Sequence[int]) -> list[T]:
    """``work`` on all seeds together; on as few at once as memory asks for.

    A group that does not fit is halved and each half starts anew; later groups are no larger.

    Raises:
        OutOfMemoryError: not even one fits.
    """
    done: list[T] = []
    size = len(seeds)
    while len(done) < len(seeds):
        group = seeds[len(done) : len(done) + size]
        try:
            done += work(group)
        except torch.OutOfMemoryError:
            if len(group) == 1:
                raise
            size = (len(group) + 1) // 2
        else:
            continue
        gc.collect()  # the group's tensors, which the traceback held
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return done
