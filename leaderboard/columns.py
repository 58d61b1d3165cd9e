"""What a table shows of a row, as plain texts: the same on every page and in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from leaderboard import wording
from leaderboard.provenance import Provenance
from leaderboard.rows import Row
from leaderboard.truths import reference
from leaderboard.wording import NONE

RANK, METHOD, ACCURACY, COUNT = "Rank", "Method", "Accuracy %", "n"
ARCHITECTURE, DEVICE, PROVENANCE = "Architecture", "Device", "Provenance"


def _provenance(source: Provenance) -> str:
    """``self-reported``, ``re-run``, ``reproduced 2 ×`` or ``repeated 2 × at other commits``."""
    kind = f"{source.kind} {source.times} ×" if source.times else source.kind
    again = f"repeated {source.repeated} × at other commits" if source.repeated else ""
    return ", ".join(filter(None, ("" if kind == "repeated" else kind, again)))


def _method(row: Row) -> str:
    """``dm``, ``whole (ceiling)``."""
    return f"{row.title} ({reference(row)})" if row.ceiling else row.title


def devices(rows: Iterable[Row]) -> str:
    """What the trials ran on, and what distilled for them where that was something else."""
    rows = list(rows)
    ran = {name for row in rows for name in row.devices}
    others = {name for row in rows for name in row.distilled_on} - ran
    parts = [", ".join(sorted(ran)), f"distilled on {', '.join(sorted(others))}" if others else ""]
    return "; ".join(filter(None, parts))


COLUMNS: dict[str, Callable[[Row], str]] = {
    RANK: lambda row: NONE if row.rank is None else str(row.rank),
    METHOD: _method,
    ARCHITECTURE: lambda row: row.architecture,
    ACCURACY: lambda row: wording.accuracy(row.summary),
    "95 % interval": lambda row: wording.interval(row.summary.interval if row.summary else None),
    COUNT: lambda row: str(len(row.values)),
    "Labels": lambda row: ", ".join(row.labels) or NONE,
    "Stored": lambda row: wording.size(row.stored_bytes),
    "Prepare": lambda row: wording.cost(row.prepare),
    "Distil": lambda row: wording.cost(row.distill),
    "Evaluate": lambda row: wording.cost(row.evaluate),
    DEVICE: lambda row: devices([row]),
    PROVENANCE: lambda row: _provenance(row.provenance),
    "Not ok": lambda row: wording.mishaps(row.mishaps),
}
OPTIONAL = frozenset({"Not ok"})
"""Columns left out where no row of a table fills them."""

LEFT = frozenset({METHOD, ARCHITECTURE, "Labels", DEVICE, PROVENANCE, "Not ok"})
"""Columns aligned to the left; numbers stand to the right."""


def grid(rows: Iterable[Row], without: Collection[str] = ()) -> tuple[list[str], list[list[str]]]:
    """Column names and the cells of each row, every one safe for a terminal."""
    filled = [{name: wording.plain(cell(row)) for name, cell in COLUMNS.items()} for row in rows]
    shown = [
        name
        for name in COLUMNS
        if name not in without and (name not in OPTIONAL or any(row[name] for row in filled))
    ]
    return shown, [[row[name] for name in shown] for row in filled]
