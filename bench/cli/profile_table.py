"""What ``bench profile`` prints: figures of one kind as a table, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from bench.cli.outcome import console
from bench.profiling.subject import BUDGET

if TYPE_CHECKING:
    from bench.profiling.records import ProfileRecord
    from bench.profiling.rules import Allowances


def show(rows: Sequence[ProfileRecord], key: str | None) -> None:
    """Print one table of one kind of figures: forecasts and measurements never share one.

    Args:
        rows: records of one kind, tier and dataset.
        key: the parameter that was swept, if any.
    """
    from rich.markup import escape
    from rich.table import Table

    names: dict[str, list[str]] = {
        "method": [row.method for row in rows],
        "phase": [row.phase for row in rows],
        "device": [row.device for row in rows],
    }
    if key:
        names = {key: [_value(row, key) for row in rows]} | names
    same = [values[0] for values in names.values() if len(set(values)) == 1]
    varying = {name: values for name, values in names.items() if len(set(values)) > 1}
    first = rows[0]
    budget = [] if key == BUDGET else [str(first.budget)]
    where = [f"{first.protocol} v{first.version}", f"{first.tier} tier", first.dataset, *budget]
    table = Table(title=escape(", ".join([*where, *same, first.kind])))
    for name in varying:
        table.add_column(name, no_wrap=True)
    for name in (f"{first.kind} peak, MiB", "fits", f"{first.kind} s a step", "steps", "in total"):
        left = name == "fits"
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for index, row in enumerate(rows):
        cells = *(values[index] for values in varying.values()), *_cells(row)
        table.add_row(*map(escape, cells))
    out = console()
    out.print(table)
    for row in rows:
        if row.reason:
            out.print(f"{row.method}, {row.phase}: {row.status}: {row.reason}.", markup=False)


def explain(allowed: Allowances) -> None:
    """Print what the figures of a forecast mean."""
    typer.echo(
        f"Peaks forecast torch.cuda.max_memory_allocated. 'fits' allows for gaps "
        f"({allowed.fragmentation:.0%}), workspaces ({allowed.workspace_bytes // 2**20} MiB) and "
        f"the CUDA context ({allowed.context_bytes // 2**20} MiB). Times are by roofline, meant "
        f"within a factor of {allowed.band:g}."
    )


def sentence(limit: dict[str, Any]) -> str:
    """What a search for the largest value that fits has found."""
    what = f"{limit['method']} on {limit['device']}"
    if limit["largest"] is None:
        return f"{what}: not even {limit['parameter']}=1 fits."
    more = " (the search ended there)" if limit["largest"] == limit["bound"] else ""
    return f"{what}: fits up to {limit['parameter']}={limit['largest']}{more}."


def _value(row: ProfileRecord, key: str) -> str:
    return str(row.budget.count if key == BUDGET else row.parameters[key])


def _cells(row: ProfileRecord) -> tuple[str, ...]:
    peak = "-" if row.peak_bytes is None else f"{row.peak_bytes / 2**20:,.1f}"
    fits = {None: "-", True: "yes", False: "no"}[row.fits]
    fits += f"; with {row.remedy}" if row.remedy else ""
    step = "-" if row.seconds_per_step is None else f"{row.seconds_per_step:.4g}"
    if len(row.seconds) > 1:
        step += f" [{min(row.seconds):.4g}, {max(row.seconds):.4g}]"
    steps = "-" if row.steps is None else f"{row.steps:,}"
    return peak, fits, step, steps, _duration(row.seconds_total)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f}\N{NO-BREAK SPACE}{unit}"
    return f"{seconds:.1f}\N{NO-BREAK SPACE}s"
