"""How many students fit together: all, or half of them, or half of those."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

S = TypeVar("S")
T = TypeVar("T")


def in_groups(work: Callable[[Sequence[S]], list[T]], students: Sequence[S]) -> list[T]:
    """``work`` on all students together; on as few at once as memory asks for.

    A group that does not fit is halved and each half starts anew; later groups are no larger.

    Raises:
        OutOfMemoryError: not even one fits.
    """
    done: list[T] = []
    size = len(students)
    while len(done) < len(students):
        group = students[len(done) : len(done) + size]
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
