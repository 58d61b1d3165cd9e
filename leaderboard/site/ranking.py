"""How the ranks of one table came about, as an example for the page that explains them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.statistics import ALPHA, Comparison, holm, welch
from leaderboard.images import Correct, compare_images
from leaderboard.rows import Row
from leaderboard.tables import Table, leagues

MOST_ROWS = 12
"""Rows of a table that can be taken in at a glance."""

MOST_TESTS = 15
"""Tests of an example that are shown: the closest to the threshold."""


@dataclass(frozen=True, kw_only=True)
class Test:
    """Two rows of a table, compared.

    Attributes:
        better: the row with the higher mean.
        worse: the other.
        seeds: Welch's t-test of their values.
        images: the paired bootstrap over test images; ``None`` where it is not stored which were
            right, or where the seeds alone show no difference.
        adjusted_p: the larger p-value of the two, Holm-corrected over all pairs.
    """

    better: Row
    worse: Row
    seeds: Comparison
    images: Comparison | None
    adjusted_p: float


@dataclass(frozen=True, kw_only=True)
class Example:
    """The tests behind the ranks of one table and league.

    Attributes:
        table: the table.
        architecture: the students' network.
        rows: the ranked rows, best first.
        tests: the tests closest to the threshold, smallest p-value first.
        pairs: how many tests there are; rows that share their students are tested once.
    """

    table: Table
    architecture: str
    rows: tuple[Row, ...]
    tests: tuple[Test, ...]
    pairs: int


def example(found: Iterable[Table], correct: Correct) -> Example | None:
    """A table to learn from; ``None`` without any two ranked rows.

    The first of the largest that can be taken in at a glance and hold presets alone; where there
    is none, the smallest.
    """
    candidates = [
        (table, rows)
        for table in found
        for members in leagues(table.rows).values()
        if len(rows := tuple(row for row in members if row.rank is not None)) > 1
    ]
    if not candidates:
        return None
    table, rows = max(candidates, key=lambda candidate: _clarity(candidate[1]))
    tests = _tests(rows, correct)
    closest = sorted(tests, key=lambda test: abs(test.adjusted_p - ALPHA))[:MOST_TESTS]
    return Example(
        table=table,
        architecture=rows[0].architecture,
        rows=rows,
        tests=tuple(sorted(closest, key=lambda test: test.adjusted_p)),
        pairs=len(tests),
    )


def _clarity(rows: Sequence[Row]) -> tuple[bool, int]:
    clear = len(rows) <= MOST_ROWS and not any(row.changes for row in rows)
    return clear, len(rows) if clear else -len(rows)


def _tests(rows: Sequence[Row], correct: Correct) -> list[Test]:
    """Every pair of samples, as :func:`bench.statistics.rank_groups` tests it."""
    distinct = {row.values: row for row in reversed(rows)}  # the first of those that are the same
    pairs = list(combinations(reversed(distinct.values()), 2))
    seeds = [welch(better.values, worse.values) for better, worse in pairs]
    images = [
        compare_images(better, worse, correct) if _rejects(test) else None
        for (better, worse), test in zip(pairs, seeds, strict=True)
    ]
    p_values = [max(_p(test), _p(over, 0.0)) for test, over in zip(seeds, images, strict=True)]
    return [
        Test(better=better, worse=worse, seeds=test, images=over, adjusted_p=p)
        for (better, worse), test, over, p in zip(pairs, seeds, images, holm(p_values), strict=True)
    ]


def _rejects(test: Comparison) -> bool:
    return test.p is not None and test.p < ALPHA


def _p(test: Comparison | None, otherwise: float = 1.0) -> float:
    return otherwise if test is None or test.p is None else test.p
