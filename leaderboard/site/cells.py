"""Cells of a table on a page: the text everybody sees, the value it sorts by, the interval bar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from leaderboard import columns
from leaderboard.rows import Phase, Row

INTERVAL = "95 % interval"

BAR_WIDTH = 100
"""Width of an interval bar in its own units."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """An interval drawn to the scale of its table, in [0, :data:`BAR_WIDTH`]."""

    low: float
    mean: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell.

    Attributes:
        column: its column's name.
        text: what it shows.
        sort: the number it sorts by; ``None`` where it sorts by its text.
        bar: the interval to draw beside the text.
    """

    column: str
    text: str
    sort: float | None
    bar: Bar | None

    @property
    def numeric(self) -> bool:
        """Whether the cell is aligned to the right."""
        return self.column not in columns.LEFT


def _seconds(phase: Phase | None) -> float:
    return phase.seconds if phase else -1.0


_KEYS: dict[str, Callable[[Row], float]] = {
    columns.RANK: lambda row: row.rank if row.rank is not None else 1e9,
    columns.ACCURACY: lambda row: row.summary.mean if row.summary else -1.0,
    INTERVAL: lambda row: row.summary.interval[0] if row.summary and row.summary.interval else -1.0,
    "n": lambda row: len(row.values),
    "Stored": lambda row: row.stored_bytes if row.stored_bytes is not None else -1,
    "Prepare": lambda row: _seconds(row.prepare),
    "Distil": lambda row: _seconds(row.distill),
    "Evaluate": lambda row: _seconds(row.evaluate),
}


def sort_key(column: str, row: Row) -> float | None:
    """What a row sorts by in a column; missing values come last or first, never between."""
    key = _KEYS.get(column)
    return None if key is None else float(key(row))


def bar(row: Row, span: tuple[float, float]) -> Bar | None:
    """The row's interval on the scale of its table; ``None`` where it has none."""
    low, high = span
    if row.summary is None or row.summary.interval is None or not high > low:
        return None

    def place(value: float) -> float:
        return round(BAR_WIDTH * min(1.0, max(0.0, (value - low) / (high - low))), 1)

    bounds = row.summary.interval
    return Bar(low=place(bounds[0]), mean=place(row.summary.mean), high=place(bounds[1]))
