"""What a run would do and cost, as a table and as plain data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.cli.outcome import console
from bench.estimates import Estimates, Seconds
from bench.studies import counted, duration, size

if TYPE_CHECKING:
    from bench.demand import Demand, Peak
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
    err = console(stderr=True)
    with closing(answers(asked, references, root, cores())) as made:
        for key, answer in track(made, "Forecasts", len(asked), console=err, transient=True):
            expectations.learn(key, answer)
    return demand(
        nodes,
        expectations,
        rules,
        {name: datasets.describe(text, data_root=root) for name, text in references.items()},
        {name: found.test_count or 0 for name, found in facts.items()},
    )


def as_dict(
    plan: Plan, cells: Mapping[Cell, Left], device: str, asked: Demand | None = None
) -> dict[str, Any]:
    """The plan for JSON; ``unmeasured`` counts work that was never timed, ``unread`` names datasets
    of which nothing can be told to be done.

    Args:
        plan: what is planned.
        cells: what is left of it.
        device: what the seconds of ``cells`` are for.
        asked: what it asks of other devices.
    """
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
        "device": device,
        "measured_on": sorted(total.measured_on),
        "seconds": total.known,
        "unmeasured": total.unknown,
        "unread": _unread(plan),
        "forecast": None if asked is None else asdict(asked),
    }


def show(plan: Plan, cells: Mapping[Cell, Left], device: str, asked: Demand | None = None) -> None:
    """Print the plan: what is done, what is left, what it will cost.

    Args:
        plan: what is planned.
        cells: what is left of it.
        device: what the seconds of ``cells`` are for.
        asked: what it asks of other devices.
    """
    rules = plan.rules
    title = f"{rules.name} v{rules.version}, {rules.tier} tier, times for {device}"
    table = Table(title=escape(title))
    for column in ("dataset", "budget", "method", "trials left", "distil", "evaluate"):
        table.add_column(column)
    for (dataset, budget, method), cell in cells.items():
        times = (_time(cell.distill), _time(cell.evaluate))
        table.add_row(dataset, budget, method, str(cell.trials), *times)
    out = console()
    out.print(table)
    total = _total(cells)
    out.print(
        f"{counted(len(plan.trials), 'trial')}, {len(plan.done)} done. "
        f"Left: {_time(total)} of work on one worker. {_origin(total, device)}"
        f"'?' was never measured.",
        markup=False,
    )
    if unread := _unread(plan):
        out.print(
            f"Never read on this machine: {', '.join(unread)}; trials on it count as left, since "
            f"their addresses depend on its images.",
            markup=False,
        )
    if asked is not None:
        _show_demand(out, asked)


def _unread(plan: Plan) -> list[str]:
    """Datasets whose images are not known yet: their checksum is part of every trial's address."""
    distillations = (trial.distillation for trial in plan.trials)
    return sorted({made.dataset for made in distillations if not made.checksum})


def _origin(total: Seconds, device: str) -> str:
    """Where the times of a plan come from."""
    measured = "from steps measured here and counted operations"
    if not total.measured_on:
        return f"Times are {measured}; "
    names = " and ".join(sorted(total.measured_on))
    scaled = ", scaled by the speed of one kernel" if total.measured_on - {device} else ""
    return f"Times are medians of equal work on record, of {names}{scaled}; else {measured}; "


def _show_demand(out: Console, asked: Demand) -> None:
    table = Table(title="Forecast device hours")
    for column in ("device", "experts", "distil", "evaluate", "all", "pieces too large"):
        table.add_column(column, justify="left" if column == "device" else "right")
    for device, seconds in asked.seconds.items():
        times = [duration(value) for value in (*seconds.values(), sum(seconds.values()))]
        table.add_row(device, *times, f"{asked.too_large[device]:,}")
    out.print(table)
    disk = ", ".join(f"{kind} {size(count)}" for kind, count in asked.disk_bytes.items())
    out.print(
        f"Forecasts: datasheet rates times a stated share, meant to be right within a factor of 2; "
        f"{asked.unknown} of {asked.pieces} pieces of work have none and count nothing. "
        f"On disk: {disk}."
    )
    if asked.peak is not None:
        out.print(_largest(asked.peak, asked.too_large), markup=False)


def _largest(peak: Peak, too_large: Mapping[str, int]) -> str:
    """What takes the most memory, and how to find out what makes it fit."""
    said = (
        f"The largest piece takes {_memory(peak.bytes)}: {peak.phase} of {peak.method} on "
        f"{peak.dataset}, {peak.budget}, {peak.network}."
    )
    short = [device for device, count in too_large.items() if count]
    if not short:
        return said
    said += " A device cannot do the pieces that are too large for it, whatever its times say."
    if peak.phase != "distill":
        return said
    return (
        f"{said} What makes this one fit, if anything does: `bench profile --method {peak.method} "
        f"--dataset {peak.dataset} --budget {peak.budget.rpartition(' ')[2]} "
        f"--forecast {','.join(short)}`."
    )


def _memory(count: int) -> str:
    """Bytes in the units of the devices' memory."""
    unit, length = ("GiB", 2**30) if count >= 2**30 else ("MiB", 2**20)
    return f"{count / length:,.1f} {unit}"


def _time(seconds: Seconds) -> str:
    value = seconds.known
    unit = duration(value)
    if not seconds.unknown:
        return unit
    return f"{unit} + {seconds.unknown} × ?" if value else "?"
