"""What a run would do and cost, as a table and as plain data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from bench.cli.outcome import console
from bench.estimates import Estimates, Seconds

if TYPE_CHECKING:
    from bench.demand import Demand
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


def asked_of_gpus(plan: Plan) -> Demand | None:
    """What is left of a plan of the paper tier asks of GPUs and of the disk; ``None`` for others.

    Shows on stderr what is being forecast.
    """
    if plan.rules.tier != "paper":
        return None
    from rich.progress import track

    from bench import datasets
    from bench.answers import answers
    from bench.demand import demand
    from bench.executors.dispatch import cores, nodes_of
    from bench.expectations import Expectations, questions
    from bench.profiling.rules import load_rules

    root, references = plan.options.data_root, plan.references
    facts = {name: datasets.facts(text, data_root=root) for name, text in references.items()}
    nodes, rules = nodes_of(plan), load_rules("efficiency", plan.rules.tier)
    expectations = Expectations(references, root)
    asked = expectations.open(one for node in nodes for one in questions(node, rules))
    made = answers(asked, references, root, cores())
    err = console(stderr=True)
    for key, answer in track(made, "Forecasts", len(asked), console=err, transient=True):
        expectations.learn(key, answer)
    return demand(
        nodes,
        expectations,
        rules,
        {name: datasets.describe(text, data_root=root) for name, text in references.items()},
        {name: found.test_count or 0 for name, found in facts.items()},
    )


def as_dict(plan: Plan, cells: Mapping[Cell, Left], asked: Demand | None = None) -> dict[str, Any]:
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
        "forecast": None if asked is None else asdict(asked),
    }


def show(plan: Plan, cells: Mapping[Cell, Left], asked: Demand | None = None) -> None:
    """Print the plan: what is done, what is left, what it will cost."""
    table = Table(title=f"{plan.rules.name} v{plan.rules.version}, {plan.rules.tier} tier")
    for column in ("dataset", "budget", "method", "trials left", "distil", "evaluate"):
        table.add_column(column)
    for (dataset, budget, method), cell in cells.items():
        times = (_time(cell.distill), _time(cell.evaluate))
        table.add_row(dataset, budget, method, str(cell.trials), *times)
    out = console()
    out.print(table)
    out.print(
        f"{len(plan.trials)} trials, {len(plan.done)} done. Left: {_time(_total(cells))} of work "
        f"on one worker. Times are medians of equal work on record, else counted for this device; "
        f"'?' was never measured."
    )
    if asked is not None:
        _show_demand(out, asked)


def _show_demand(out: Console, asked: Demand) -> None:
    table = Table(title="Forecast GPU hours")
    for column in ("device", "experts", "distil", "evaluate", "all"):
        table.add_column(column, justify="left" if column == "device" else "right")
    for device, seconds in asked.seconds.items():
        hours = [value / 3600 for value in (*seconds.values(), sum(seconds.values()))]
        table.add_row(device, *(f"{value:,.1f}" for value in hours))
    out.print(table)
    disk = ", ".join(f"{kind} {size / 2**30:,.1f}" for kind, size in asked.disk_bytes.items())
    out.print(
        f"Forecasts: datasheet rates times a stated share, meant to be right within a factor of 2; "
        f"{asked.unknown} of {asked.pieces} pieces of work have none and count nothing. "
        f"On disk, GiB: {disk}."
    )


def _time(seconds: Seconds) -> str:
    value = seconds.known
    unit = f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"
    unit = unit if value < 7200 else f"{value / 3600:.1f} h"
    if not seconds.unknown:
        return unit
    return f"{unit} + {seconds.unknown} × ?" if value else "?"
