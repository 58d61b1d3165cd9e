"""What the tables of one protocol say together, and how small a gap each of them can show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import fsum

from bench.specs import Budget, BudgetKind
from bench.statistics import smallest_gap
from bench.trials import Tier, Track
from leaderboard.tables import Table, leagues

Place = tuple[str, Budget, str, str]
"""Dataset, budget, checksum and league (architecture, recipe, merged sets): one cell of a grid."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One method over the common cells.

    Attributes:
        method: the method, with its preset.
        average_rank: mean place by mean accuracy, from 1; equal means share the mean of theirs.
        borda: points: in every cell one for each method with a lower mean, half a one for an equal.
    """

    method: str
    average_rank: float
    borda: float


@dataclass(frozen=True, kw_only=True)
class Standings:
    """The methods of one protocol, tier, track and kind of budget, best average rank first.

    Only cells count in which every method has a result; who is never ranked takes no part.

    Attributes:
        protocol: its name.
        version: its version.
        protocol_hash: hash of its rules.
        tier: how much compute.
        track: which recipes.
        budget_kind: ``ipc`` or ``inpc``.
        cells: how many cells count.
        all_cells: how many there are.
        methods: the methods; empty where no cell counts.
    """

    protocol: str
    version: int
    protocol_hash: str
    tier: Tier
    track: Track
    budget_kind: BudgetKind
    cells: int
    all_cells: int
    methods: tuple[Standing, ...]


def gaps(table: Table) -> dict[str, float]:
    """For each architecture the smallest gap that the table can show, as a fraction.

    Where its rows are ranked apart, by recipe or by number of merged sets, the largest of their
    gaps. Methods that share their students are one sample.
    """
    found: dict[str, float] = {}
    for members in leagues(table.rows).values():
        gap = smallest_gap(list(dict.fromkeys(row.values for row in members)))
        architecture = members[0].architecture
        if gap is not None:
            found[architecture] = max(gap, found.get(architecture, gap))
    return found


def standings(found: Iterable[Table]) -> list[Standings]:
    """Average rank and Borda points wherever at least two methods share a rulebook."""
    groups = groupby(sorted(found, key=_group), key=_group)
    return [
        standing for _, members in groups if (standing := _standings(list(members))) is not None
    ]


def _group(table: Table) -> tuple[str, int, str, Tier, Track, BudgetKind]:
    key = table.key
    return key.protocol, -key.version, key.protocol_hash, key.tier, key.track, key.budget.kind


def _standings(found: Sequence[Table]) -> Standings | None:
    cells = _cells(found)
    methods = sorted({method for cell in cells.values() for method in cell})
    if len(methods) < 2:
        return None
    common = [cell for cell in cells.values() if len(cell) == len(methods)]
    key = found[0].key
    standing = [_standing(method, common) for method in methods if common]
    return Standings(
        protocol=key.protocol,
        version=key.version,
        protocol_hash=key.protocol_hash,
        tier=key.tier,
        track=key.track,
        budget_kind=key.budget.kind,
        cells=len(common),
        all_cells=len(cells),
        methods=tuple(sorted(standing, key=lambda entry: (entry.average_rank, entry.method))),
    )


def _cells(found: Iterable[Table]) -> dict[Place, dict[str, float]]:
    """Mean accuracies of those that compete in each cell, by method."""
    cells: dict[Place, dict[str, float]] = {}
    for table in found:
        key = table.key
        for league, members in leagues(table.rows).items():
            place = (key.dataset, key.budget, key.checksum, league)
            cells[place] = {row.method: row.summary.mean for row in members if row.summary}
    return cells


def _standing(method: str, cells: Sequence[Mapping[str, float]]) -> Standing:
    points = [_points(method, cell) for cell in cells]
    places = [len(cell) - own for cell, own in zip(cells, points, strict=True)]
    return Standing(method=method, average_rank=fsum(places) / len(places), borda=fsum(points))


def _points(method: str, cell: Mapping[str, float]) -> float:
    own, means = cell[method], list(cell.values())
    return sum(mean < own for mean in means) + (means.count(own) - 1) / 2
