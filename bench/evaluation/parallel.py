"""Seeds side by side on the CPU, one thread each.

Operators release Python's lock while they compute, and a small network keeps one core busy but
not two: two students on two cores finish before two cores have trained one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

S = TypeVar("S")
T = TypeVar("T")


def side_by_side(work: Callable[[S], T], students: Sequence[S]) -> list[T]:
    """``work(student)`` for every student, some at once; the results in order.

    Each runs with one thread of torch's, so that a result depends on neither how many run nor how
    many cores there are.
    """
    workers = at_once(len(students), torch.get_num_threads())

    def alone(student: S) -> T:
        torch.set_num_threads(1)
        return work(student)

    with ThreadPoolExecutor(workers, thread_name_prefix="student") as pool:
        return list(pool.map(alone, students))


def at_once(students: int, cores: int) -> int:
    """How many students of equal length to train at once so that all are done soonest.

    Five students on two cores: three at two thirds of the speed and then two take as long as 2.5
    of them; two at a time would leave the fifth alone with one core.
    """
    most = min(students, 2 * cores)
    return min(range(min(students, cores), most + 1), key=lambda n: length(students, cores, n))


def length(students: int, cores: int, together: int) -> float:
    """How long groups of ``together`` students take, one after the other, in lengths of one.

    Those of a group share the cores evenly; none of them gets more than one.
    """
    whole, rest = divmod(students, together)
    return whole * max(together / cores, 1) + (max(rest / cores, 1) if rest else 0)
