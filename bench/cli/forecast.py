"""What a run would do and cost, as a table and as plain data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from bench.estimates import Estimates, Seconds

if TYPE_CHECKING:
    from bench.runner import Plan

Cell = tuple[str, str, str]
"""Dataset, budget, method."""


@dataclass
class Left:
    """What one cell still asks for."""

    trials: int = 0
    distill: Seconds = field(default_factory=Seconds)
    evaluate: Seconds = field(default_factory=Seconds)


def rows(plan: Plan, estimates: Estimates) -> dict[Cell, Left]:
    """What is left of each cell."""
    cells: dict[Cell, Left] = defaultdict(Left)
    for job in plan.jobs:
        source = job.distillation
        cell = cells[source.dataset, str(source.budget), source.method]
        cell.trials += len(job.trials)
        cell.distill += estimates.distillation(job)
        cell.evaluate += estimates.evaluation(job)
    return cells


def _total(cells: Mapping[Cell, Left]) -> Seconds:
    return sum((cell.distill + cell.evaluate for cell in cells.values()), Seconds())


def as_dict(plan: Plan, cells: Mapping[Cell, Left]) -> dict[str, Any]:
    """The plan for JSON; ``unmeasured`` counts work that was never timed."""
    total = _total(cells)
    return {
        "trials": len(plan.trials),
        "done": len(plan.done),
        "rows": [
            {
                "dataset": dataset,
                "budget": budget,
                "method": method,
                "trials": cell.trials,
                "distill_seconds": cell.distill.known,
                "evaluate_seconds": cell.evaluate.known,
                "unmeasured": cell.distill.unknown + cell.evaluate.unknown,
            }
            for (dataset, budget, method), cell in cells.items()
        ],
        "seconds": total.known,
        "unmeasured": total.unknown,
    }


def show(plan: Plan, cells: Mapping[Cell, Left]) -> None:
    """Print the plan: what is done, what is left, what it will cost."""
    table = Table(title=f"{plan.rules.name} v{plan.rules.version}, {plan.rules.tier} tier")
    for column in ("dataset", "budget", "method", "trials left", "distil", "evaluate"):
        table.add_column(column)
    for (dataset, budget, method), cell in cells.items():
        times = (_time(cell.distill), _time(cell.evaluate))
        table.add_row(dataset, budget, method, str(cell.trials), *times)
    console = Console()
    console.print(table)
    console.print(
        f"{len(plan.trials)} trials, {len(plan.done)} done. Left: {_time(_total(cells))} of work "
        f"on one worker. Times are medians of equal work on record, else counted for this device; "
        f"'?' was never measured."
    )


def _time(seconds: Seconds) -> str:
    value = seconds.known
    unit = f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"
    unit = unit if value < 7200 else f"{value / 3600:.1f} h"
    if not seconds.unknown:
        return unit
    return f"{unit} + {seconds.unknown} × ?" if value else "?"
