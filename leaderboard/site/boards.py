"""Tables as the site arranges them: a board for all budgets of a dataset under one set of rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from leaderboard import columns, wording
from leaderboard.facts import facts, notes, usual_recipe
from leaderboard.rows import Row
from leaderboard.site import links
from leaderboard.site.cells import INTERVAL, Cell, bar, sort_key
from leaderboard.tables import Table, TableKey


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of a table, ready for a page.

    Attributes:
        row: what it shows.
        cells: one a column of its table.
    """

    row: Row
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One table, ready for a page.

    Attributes:
        table: what it shows.
        id: its anchor.
        head: names of its columns.
        ranked: the lines that compete.
        ceilings: the lines that do not.
        common: what all lines share and no column repeats.
        notes: sentences below it: what it cannot show, and what its rows do not share.
    """

    table: Table
    id: str
    head: tuple[str, ...]
    ranked: tuple[Line, ...]
    ceilings: tuple[Line, ...]
    common: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Board:
    """Every budget of one dataset under one protocol, tier and track.

    Attributes:
        key: of the first table; all agree but for the budget.
        id: its anchor.
        facts: what ran, by name.
        sheets: one a budget, small before large.
    """

    key: TableKey
    id: str
    facts: Mapping[str, str]
    sheets: tuple[Sheet, ...]

    @property
    def rows(self) -> Iterable[tuple[Table, Row]]:
        """Every row with its table, ceilings once."""
        seen = set()
        for sheet in self.sheets:
            for row in sheet.table.rows:
                if not row.ceiling or (row.title, row.architecture) not in seen:
                    yield sheet.table, row
                if row.ceiling:
                    seen.add((row.title, row.architecture))


def boards(found: Sequence[Table]) -> list[Board]:
    """The boards of these tables, in the tables' order."""
    result = []
    for place, members in groupby(found, key=lambda table: _place(table.key)):
        tables = list(members)
        usual = usual_recipe(tables)
        result.append(
            Board(
                key=tables[0].key,
                id=links.anchor("board", *place),
                facts=facts(tables, usual),
                sheets=tuple(_sheet(table, usual) for table in tables),
            )
        )
    return result


def rules_title(key: TableKey) -> str:
    """``ipc-grid v1, quick tier, standard track``."""
    return f"{key.protocol} v{key.version}, {key.tier} tier, {key.track} track"


def sheet_id(key: TableKey) -> str:
    """The anchor of a table."""
    return links.anchor("table", *_place(key), str(key.budget))


def _place(key: TableKey) -> tuple[str, ...]:
    rules = (key.protocol, f"v{key.version}", key.protocol_hash, key.tier, key.track)
    return (*rules, key.dataset, key.checksum)


def _sheet(table: Table, usual: Mapping[str, Any]) -> Sheet:
    shared = _shared(table.rows)
    head, body = columns.grid(table.rows, without=set(shared))
    span = _span(table.rows)
    lines = [
        Line(
            row=row,
            cells=tuple(
                Cell(
                    column=name,
                    text=text,
                    sort=sort_key(name, row),
                    bar=bar(row, span) if name == INTERVAL else None,
                )
                for name, text in zip(head, texts, strict=True)
            ),
        )
        for row, texts in zip(table.rows, body, strict=True)
    ]
    return Sheet(
        table=table,
        id=sheet_id(table.key),
        head=tuple(head),
        ranked=tuple(line for line in lines if not line.row.ceiling),
        ceilings=tuple(line for line in lines if line.row.ceiling),
        common=tuple(shared.values()),
        notes=notes(table, usual),
    )


def _shared(rows: Sequence[Row]) -> dict[str, str]:
    """Columns in which every row says the same, with what it is."""
    values = {
        name: {wording.plain(columns.COLUMNS[name](row)) for row in rows}
        for name in (columns.ARCHITECTURE, columns.DEVICE, columns.PROVENANCE)
    }
    return {name: found.pop() for name, found in values.items() if len(found) == 1}


def _span(rows: Iterable[Row]) -> tuple[float, float]:
    """The accuracies that the intervals of a table reach, within [0, 1]."""
    summaries = [row.summary for row in rows if row.summary]
    low = [s.interval[0] if s.interval else s.mean for s in summaries]
    high = [s.interval[1] if s.interval else s.mean for s in summaries]
    return max(0.0, min(low, default=0.0)), min(1.0, max(high, default=1.0))
