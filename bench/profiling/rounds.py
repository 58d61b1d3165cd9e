"""Loops of which a forecast goes some rounds and counts the others.

A segment of images costs what the one before it cost, and so does a batch or a class. Of a loop
over parts of an index (``index.split(size)``) or over classes (:meth:`bench.task.Task.classes`) the
first rounds are run and the last, which may be smaller; the work of those between is taken from the
first. That is exact where rounds are alike, and right on average where they differ by what an
augmentation draws. Memory stays that of the rounds that were run: repetition allocates nothing new.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bench.profiling.ledger import Cost, Ledger

T = TypeVar("T")

ALIKE = 8
"""So many equal rounds in a row show that all are: an augmentation draws the same of six families
as often once in 280,000 times."""


class Rounds(TorchFunctionMode):
    """Cuts loops short while it is active.

    A loop is cut only where its rounds do something and leave nothing behind on the device: one
    that gathers what it makes needs them all.

    Args:
        ledger: keeps account of the rounds, and is told of those left out.
        most: how many are run where they are not all alike.
    """

    def __init__(self, ledger: Ledger, most: int) -> None:
        super().__init__()
        self._ledger, self._most = ledger, most

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is Tensor.split and _is_index(args[0]) and isinstance(args[1], int):
            return Cut(result, self)
        return result

    def over(self, items: Sequence[T]) -> Iterator[T]:
        """The first of ``items`` and the last, or all of them."""
        seen = _Seen(self._ledger)
        for place, item in enumerate(items):
            left_out = len(items) - place - 1
            if left_out and seen.suffice(self._most):
                self._ledger.work.update(seen.mean(left_out))
                yield items[-1]
                return
            yield item
            seen.note()


class _Seen:
    """What the rounds of a loop did so far; the first sets things up and does not count."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._before: tuple[Counter[Cost], int] | None = None
        self._work: Counter[Cost] = Counter()
        self._last: Counter[Cost] = Counter()
        self._rounds = self._alike = self._idle = self._growing = 0

    def note(self) -> None:
        """Take note of a round that has ended."""
        work, live = Counter(self._ledger.work), self._ledger.live_bytes
        if self._before is not None:
            done = work - self._before[0]
            self._alike = self._alike + 1 if done == self._last else 1
            self._idle += not done
            self._growing += live > self._before[1]
            self._work.update(done)
            self._last = done
            self._rounds += 1
        self._before = work, live

    def suffice(self, most: int) -> bool:
        """Whether the rounds to come are known from those seen."""
        if self._idle or 2 * self._growing > self._rounds:
            return False
        return self._alike >= ALIKE or self._rounds + 1 >= most

    def mean(self, rounds: int) -> dict[Cost, float]:
        """The work of ``rounds`` rounds like those seen."""
        return {cost: count * rounds / self._rounds for cost, count in self._work.items()}


class Cut(tuple[Tensor, ...]):
    """Parts of an index; a loop over them may be cut short.

    Attributes:
        ran: how many rounds the last loop had, so far.
    """

    ran: int
    _rounds: Rounds

    def __new__(cls, parts: Sequence[Tensor], rounds: Rounds) -> Self:
        """All of ``parts``, to be cut by ``rounds``."""
        made = super().__new__(cls, parts)
        made.ran, made._rounds = 0, rounds
        return made

    def __iter__(self) -> Iterator[Tensor]:
        self.ran = 0
        for part in self._rounds.over(self[:]):
            self.ran += 1
            yield part


def _is_index(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 1 and value.dtype == torch.int64
