"""Who is best at what, at a glance: the presets of one set of rules in one small table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from leaderboard import wording
from leaderboard.rows import Row
from leaderboard.site.boards import Board, rules_title
from leaderboard.tables import Table


@dataclass(frozen=True, kw_only=True)
class Score:
    """One accuracy of the overview.

    Attributes:
        text: ``86.4 ± 1.2``.
        mean: what it sorts by.
        best: whether nothing is significantly better.
    """

    text: str
    mean: float
    best: bool


@dataclass(frozen=True, kw_only=True)
class Column:
    """One table and architecture."""

    dataset: str
    budget: str
    architecture: str
    sheet: str


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Methods down, tables across.

    Attributes:
        title: the rules.
        columns: dataset, budget and architecture.
        lines: a method each, whether it is a ceiling, and a score a column or ``None``; best first
            in the first column, ceilings last.
    """

    title: str
    columns: tuple[Column, ...]
    lines: tuple[tuple[str, bool, tuple[Score | None, ...]], ...]


def overviews(found: Sequence[Board]) -> list[Overview]:
    """One overview for each protocol version, tier and track."""
    groups = groupby(found, key=lambda b: (rules_title(b.key), b.key.protocol_hash))
    return [_overview(title, list(members)) for (title, _), members in groups]


def _overview(title: str, members: Sequence[Board]) -> Overview:
    scores: dict[str, dict[Column, Score]] = {}
    ceilings: dict[str, bool] = {}
    columns: dict[Column, None] = {}
    for board in members:
        for sheet in board.sheets:
            for row in sheet.table.rows:
                if row.changes or not row.summary:
                    continue
                column = _column(sheet.id, sheet.table, row)
                columns[column] = None
                ceilings[row.method] = row.ceiling
                scores.setdefault(row.method, {})[column] = _score(row)
    first = next(iter(columns), None)

    def place(name: str) -> tuple[bool, float, str]:
        score = scores[name].get(first) if first else None
        return ceilings[name], -score.mean if score else 1.0, name

    ordered = sorted(scores, key=place)
    return Overview(
        title=title,
        columns=tuple(columns),
        lines=tuple(
            (name, ceilings[name], tuple(scores[name].get(column) for column in columns))
            for name in ordered
        ),
    )


def _column(sheet: str, table: Table, row: Row) -> Column:
    return Column(
        dataset=table.key.dataset,
        budget=str(table.key.budget),
        architecture=row.architecture,
        sheet=sheet,
    )


def _score(row: Row) -> Score:
    assert row.summary is not None
    return Score(text=wording.accuracy(row.summary), mean=row.summary.mean, best=row.rank == 1)
