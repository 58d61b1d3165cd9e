"""Tables as Markdown for the repository, for the terminal, and as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bench.specs import Budget
from leaderboard import wording
from leaderboard.reported import reported
from leaderboard.rows import Phase, Row
from leaderboard.tables import CellComparison, Table, TableKey
from leaderboard.wording import NONE, escape

if TYPE_CHECKING:
    from rich.table import Table as RichTable

COLUMNS: dict[str, Callable[[Row], str]] = {
    "Rank": lambda row: NONE if row.rank is None else str(row.rank),
    "Method": lambda row: f"{row.title} (ceiling)" if row.ceiling else row.title,
    "Architecture": lambda row: row.architecture,
    "Accuracy %": lambda row: wording.accuracy(row.summary),
    "95 % interval": lambda row: wording.interval(row.summary and row.summary.interval),
    "n": lambda row: str(len(row.values)),
    "Labels": lambda row: ", ".join(row.labels) or NONE,
    "Stored": lambda row: wording.size(row.stored_bytes),
    "Prepare": lambda row: wording.cost(row.prepare),
    "Distil": lambda row: wording.cost(row.distill),
    "Evaluate": lambda row: wording.cost(row.evaluate),
    "Device": lambda row: ", ".join(row.devices),
    "Not ok": lambda row: wording.mishaps(row.mishaps),
}
OPTIONAL = frozenset({"Not ok"})
"""Columns left out where no row of the table fills them."""

INTRODUCTION = """\
# Leaderboard

Rendered from records by `bench leaderboard build`; edits here are lost.

- **Accuracy**: mean ± population standard deviation over n trials, in percent. A trial is one
  repetition with its own seed. Of a trial that ran more than once the latest good record counts.
- **95 % interval**: of the mean, by Student's t.
- **Rank**: methods that cannot be told apart share a rank. It is one plus the number of methods
  that are significantly better (Welch's t-test of every pair on one architecture, Holm-corrected,
  5 %), or better than one that is. Fewer than two trials allow no rank.
- **Ceiling**: students trained on the whole training set, for orientation; never ranked.
- **Stored**: bytes to keep in order to train from the result again. **Prepare** (work ahead of the
  distillation, such as expert buffers), **Distil**, **Evaluate** (one student): median time and
  greatest peak of memory.
- Protocol versions, tiers, tracks, datasets and budgets never share a table. Numbers printed in
  papers stand in tables of their own: their recipes differ from ours.
"""


def markdown(found: Sequence[Table]) -> str:
    """The whole leaderboard as one page."""
    sections = [
        _section(list(members)) for _, members in groupby(found, key=lambda table: _rules(table.key))
    ]
    return "\n".join([INTRODUCTION, *sections])


def _rules(key: TableKey) -> tuple[Any, ...]:
    return key.protocol, key.version, key.protocol_hash, key.tier, key.track


def _section(found: Sequence[Table]) -> str:
    key = found[0].key
    title = f"{key.protocol} v{key.version}, {key.tier} tier, {key.track} track"
    parts = [f"## {escape(title)}\n", _facts(found), *(_table(table) for table in found)]
    return "\n".join(parts)


def _facts(found: Sequence[Table]) -> str:
    """What ran, as a list: rules, recipes, seeds, machines, versions, dates."""
    key = found[0].key
    rows = [row for table in found for row in table.rows]
    records = [record for row in rows for record in row.records]
    ran = [record.environment for record in records]
    counts = [len(row.values) for row in rows if not row.ceiling] or [0]
    facts = {
        "Protocol": f"{key.protocol}, version {key.version}, rules {key.protocol_hash[:12]}",
        **_recipes(rows),
        "Seeds": wording.numbers([seed for row in rows for seed in row.seeds]) or NONE,
        "n": f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else str(counts[0]),
        "Devices": _list(environment.device for environment in ran),
        "Versions": f"bench {_list(e.package for e in ran)}; torch {_list(e.torch for e in ran)}; "
        f"Python {_list(e.python for e in ran)}",
        "Commits": _list(environment.commit[:12] for environment in ran),
        "Newest record": max(record.time for record in records).partition("T")[0],
    }
    return "".join(f"- {escape(name)}: {escape(value)}\n" for name, value in facts.items())


def _list(values: Iterable[str]) -> str:
    return ", ".join(sorted({value for value in values if value})) or NONE


def _recipes(rows: Sequence[Row]) -> dict[str, str]:
    """Each recipe with the methods that it trained; one for all needs no names."""
    users: dict[str, set[str]] = {}
    for row in rows:
        users.setdefault(wording.recipe(row.recipe), set()).add(row.method)
    if len(users) == 1:
        return {"Recipe": next(iter(users))}
    return {f"Recipe of {', '.join(sorted(names))}": text for text, names in users.items()}


def _table(table: Table) -> str:
    key = table.key
    cells = [_cells(row) for row in table.rows]
    columns = [
        name for name in COLUMNS if name not in OPTIONAL or any(row[name] for row in cells)
    ]
    body = [[_emphasise(row, name, values[name]) for name in columns] for row, values in zip(table.rows, cells, strict=True)]
    parts = [
        f"### {escape(f'{key.dataset}, {key.budget}')}\n",
        *(f"**Warning**: {escape(warning)}\n" for warning in table.warnings),
        _grid(columns, body),
        _commands(table),
        _reported(table),
    ]
    return "\n".join(part for part in parts if part)


def _cells(row: Row) -> dict[str, str]:
    return {name: cell(row) for name, cell in COLUMNS.items()}
