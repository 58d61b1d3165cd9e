"""Seeds side by side on the CPU, one thread each.

Operators release Python's lock while they compute, and a small network keeps one core busy but
not two: two students on two cores finish before two cores have trained one after the other. Where
there are more students than cores they take turns by epochs, so that all are done at about the
same time: an operating system may give one a core and two others half a core each.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

S = TypeVar("S")
T = TypeVar("T")

GiveWay = Callable[[], None]
"""Called by a student after each epoch: whoever has waited longest goes on instead."""


def side_by_side(work: Callable[[S, GiveWay], T], students: Sequence[S]) -> list[T]:
    """``work(student, give_way)`` for every student, some at once; the results in order.

    Each runs with one thread of torch's, so that a result depends on neither how many run nor how
    many cores there are.
    """
    cores = torch.get_num_threads()
    workers, turns = at_once(len(students), cores), Turns(cores)

    def alone(student: S) -> T:
        torch.set_num_threads(1)
        with turns.taken():
            return work(student, turns.give_way)

    with ThreadPoolExecutor(workers, thread_name_prefix="student") as pool:
        return list(pool.map(alone, students))


class Turns:
    """Lets so many threads run at a time, in the order in which they came.

    Args:
        most: how many.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """How many wait in line."""
        return len(self._line)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a turn and have it within the context."""
        self._take()
        try:
            yield
        finally:
            self._leave()

    def give_way(self) -> None:
        """Let the first of those who wait run, and go on after the last of them."""
        with self._changed:
            if self._line:
                self._leave()
                self._take()

    def _take(self) -> None:
        ticket = object()
        with self._changed:
            self._line.append(ticket)
            self._changed.wait_for(lambda: self._free and self._line[0] is ticket)
            self._line.popleft()
            self._free -= 1
            self._changed.notify_all()

    def _leave(self) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify_all()


def at_once(students: int, cores: int) -> int:
    """How many students of equal length to train at once so that all are done soonest.

    Five students on two cores: three that take turns and then two take as long as 2.5 of them; two
    at a time would leave the fifth alone with one core.
    """
    most = min(students, 2 * cores)
    return min(range(min(students, cores), most + 1), key=lambda n: length(students, cores, n))


def length(students: int, cores: int, together: int) -> float:
    """How long groups of ``together`` students take, one after the other, in lengths of one.

    Those of a group share the cores evenly; none of them gets more than one.
    """
    whole, rest = divmod(students, together)
    return whole * max(together / cores, 1) + (max(rest / cores, 1) if rest else 0)
