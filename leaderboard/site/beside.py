"""Measured beside reported: the same experiment by all that a paper states, two columns.

That is dataset, budget, method, the network it distils with and the students' network. Rows with
changed settings are no experiment of a paper's and stand beside nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from bench.statistics import Summary
from leaderboard.departures import likely_reason
from leaderboard.reported import ReportedValue, reported
from leaderboard.rows import Row
from leaderboard.site.boards import Board
from leaderboard.tables import FULL, TableKey


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One row of ours and one number that a paper prints for the same cell.

    Attributes:
        key: the row's table.
        row: what was measured.
        value: what is printed.
        gap: measured minus printed mean, a fraction.
        units: the gap over the combined standard deviation; ``None`` where either side has none,
            or where the number is of a variant of the method.
        reason: what the gap is likely due to, in a phrase.
    """

    key: TableKey
    row: Row
    value: ReportedValue
    gap: float
    units: float | None
    reason: str


def pairs(found: Iterable[Board]) -> list[Pair]:
    """Every pair of a measured row and a printed number, in the order of tables and papers."""
    return [
        _pair(table.key, row, row.summary, value)
        for board in found
        for table, row in board.rows
        if row.summary and not row.changes
        for value in reported(
            table.key.dataset,
            FULL if row.ceiling else table.key.budget,
            row.method,
            row.architecture,
            row.network,
        )
    ]


def _pair(key: TableKey, row: Row, measured: Summary, value: ReportedValue) -> Pair:
    units = gap_in_deviations(measured, value)
    return Pair(
        key=key,
        row=row,
        value=value,
        gap=measured.mean - value.mean,
        units=units,
        reason=likely_reason(key, row, units),
    )


def gap_in_deviations(measured: Summary, value: ReportedValue) -> float | None:
    """(m - r) / √(s_m² + s_r²), both deviations as printed: over repetitions, not of the mean.

    ``None`` where one side has a single value, prints no deviation, or neither varies, and for a
    variant: its distance from the preset would be counted as if it were the same method's.
    """
    if measured.n < 2 or value.std is None or value.variant:
        return None
    combined = math.hypot(measured.std, value.std)
    return (measured.mean - value.mean) / combined if combined > 0 else None
