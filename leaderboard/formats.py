"""Tables as JSON, CSV and LaTeX, for other programs and for papers; see docs/ranks.md."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from leaderboard import columns, render, wording
from leaderboard.rows import Phase, Row
from leaderboard.sources import Sources
from leaderboard.standings import standings
from leaderboard.state import State
from leaderboard.studies import Section
from leaderboard.tables import Table

SCHEMA = 1
"""Version of the JSON and CSV shapes; keys may be added under it, none changed or taken away."""

_FORMULA = ("=", "+", "-", "@")
"""First characters that make a spreadsheet take a text for a formula."""


def as_data(
    found: Sequence[Table], state: State, sources: Sources, told: Iterable[Section] = ()
) -> dict[str, Any]:
    """Tables, standings, studies and the state as JSON-able values: fractions, seconds, bytes.

    Args:
        found: the tables.
        state: of the board.
        sources: where the records come from.
        told: what protocols say in tables of their own.
    """
    return {
        "schema": SCHEMA,
        "state": asdict(state),
        "sources": asdict(sources),
        "tables": render.data(found),
        "standings": [asdict(standing) for standing in standings(found)],
        "studies": render.study_data(told),
    }


def as_json(
    found: Sequence[Table], state: State, sources: Sources, told: Iterable[Section] = ()
) -> str:
    """:func:`as_data` as text."""
    value = as_data(found, state, sources, told)
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def as_csv(found: Iterable[Table]) -> str:
    """One line a row of a table, numbers unrounded; lists and settings as JSON texts."""
    out = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for table in found:
        for row in table.rows:
            cells = _cells(table, row)
            if writer is None:
                writer = csv.DictWriter(out, list(cells), lineterminator="\n")
                writer.writeheader()
            writer.writerow({name: _inert(value) for name, value in cells.items()})
    return out.getvalue()


def _cells(table: Table, row: Row) -> dict[str, Any]:
    key, summary = table.key, row.summary
    low, high = (summary.interval if summary else None) or (None, None)
    return {
        "protocol": key.protocol,
        "version": key.version,
        "protocol_hash": key.protocol_hash,
        "tier": key.tier,
        "track": key.track,
        "dataset": key.dataset,
        "checksum": key.checksum,
        "budget_kind": key.budget.kind,
        "budget": key.budget.count,
        "architecture": row.architecture,
        "method": row.method,
        "changes": json.dumps(dict(row.changes), ensure_ascii=False),
        "ceiling": row.ceiling,
        "rank": row.rank,
        "n": len(row.values),
        "mean": summary.mean if summary else None,
        "std": summary.std if summary else None,
        "interval_low": low,
        "interval_high": high,
        "labels": ", ".join(row.labels),
        "stored_bytes": row.stored_bytes,
        **_costs("prepare", row.prepare),
        **_costs("distill", row.distill),
        **_costs("evaluate", row.evaluate),
        "provenance": row.provenance.kind,
        "reproductions": row.provenance.times,
        "repetitions": row.provenance.repeated,
        "devices": ", ".join(row.devices),
        "distilled_on": ", ".join(row.distilled_on),
        "seeds": json.dumps(row.seeds),
        "values": json.dumps(row.values),
        "mishaps": json.dumps([asdict(end) for end in row.mishaps], ensure_ascii=False),
    }


def _costs(phase: str, cost: Phase | None) -> dict[str, float | None]:
    return {
        f"{phase}_seconds": cost.seconds if cost else None,
        f"{phase}_peak_bytes": cost.peak_bytes if cost else None,
    }


def _inert(value: Any) -> Any:
    """A text that a spreadsheet shows and does not compute."""
    if not isinstance(value, str):
        return value
    text = wording.line(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def as_latex(found: Iterable[Table]) -> str:
    """A ``tabular`` with the rules of the ``booktabs`` package for each table."""
    return "\n".join(map(_latex, found))


def _latex(table: Table) -> str:
    from tabulate import tabulate

    head, body = columns.grid(table.rows, {columns.DEVICE, columns.PROVENANCE})
    align = ["left" if name in columns.LEFT else "right" for name in head]
    # this format of tabulate escapes what LaTeX would take for a command
    grid = tabulate(body, head, "latex_booktabs", disable_numparse=True, colalign=align)
    for sign, command in (("±", r"$\pm$"), ("–", "--"), ("×", r"$\times$")):
        grid = grid.replace(sign, command)
    return f"% {wording.plain(render.place(table.key))}\n{grid}\n"
