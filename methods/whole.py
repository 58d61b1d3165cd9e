"""Whole: the training set itself, the ceiling that every budget is measured against.

A protocol gives this row fewer epochs than the rows of small sets, and says how many.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.data import RealSet
from bench.selection import Selection
from bench.task import Task


@dataclass(frozen=True, kw_only=True)
class Whole(Selection):
    """Hand over every training image."""

    def result(self, state: Task) -> RealSet:
        """The training set."""
        return state.real
