"""``bench run``."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import plugins
from bench.cli import options as shared
from bench.cli.options import (
    DataRootOption,
    DatasetsOption,
    DeviceOption,
    JsonOption,
    MethodOption,
    SeedsOption,
    StoreOption,
)
from bench.estimates import Seconds

if TYPE_CHECKING:
    from bench.estimates import Estimates
    from bench.records import Record
    from bench.runner import Plan
    from bench.statistics import Summary

PUBLISHED = Path("leaderboard/results")
"""Where a checkout keeps published records: their costs help to estimate."""


def run(
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            "-p",
            help="Protocol to run.",
            autocompletion=lambda: list(plugins.names("protocols")),
        ),
    ] = "ipc-grid",
    tier: Annotated[str, typer.Option("--tier", "-t", help="quick, lite or paper.")] = "quick",
    method: MethodOption = None,
    dataset: DatasetsOption = None,
    budget: Annotated[
        list[str] | None,
        typer.Option("--budget", "-b", help="Images per class. Default: the protocol's grid."),
    ] = None,
    seeds: SeedsOption = None,
    track: Annotated[
        list[str] | None, typer.Option("--track", help="standard, native. Default: both.")
    ] = None,
    split: Annotated[
        str,
        typer.Option("--split", help="test; or validation, for choices: test data stay unread."),
    ] = "test",
    device: DeviceOption = "auto",
    executor: Annotated[str, typer.Option("--executor", help="local.")] = "local",
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Worker processes. Default: one a core or GPU."),
    ] = None,
    store: StoreOption = Path("runs"),
    data_root: DataRootOption = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a parameter: `dm.lr_images=10`. Repeat for several."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and what it will cost; do nothing.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Do everything again, also what is recorded.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a protocol: distil, train students, test them, record every outcome.

    What is recorded is not done again. Ctrl-C or a kill loses at most the work since the last
    checkpoint; the same command goes on.

    Example: `bench run --protocol ipc-grid --method random --method dm --budget 1`
    """
    from bench import runner
    from bench.trials import TRACKS

    shared.known("executor", [executor], ["local"])
    shared.known("split", [split], ["test", "validation"])
    shared.known("track", shared.names(track), TRACKS)
    methods = shared.names(method)
    shared.known("method", methods, plugins.names("methods"))
    asked = runner.Options(
        protocol=protocol,
        tier=shared.tier(tier),
        methods=methods,
        datasets=shared.names(dataset),
        budgets=shared.budgets(budget),
        seeds=seeds,
        tracks=tuple(name for name in TRACKS if not track or name in shared.names(track)),
        split="validation" if split == "validation" else "test",
        changes=shared.changes(change),
        store=store,
        data_root=data_root,
        device=device,
        jobs=jobs,
        fresh=fresh,
    )
    plan = runner.plan(asked, read_data=not dry_run)
    if dry_run:
        _print_plan(plan, as_json)
        return
    new = _execute(plan)
    records = [*plan.done.values(), *new]
    _print_outcome(plan, records, len(new), as_json)
    if runner.failures(new):
        raise typer.Exit(1)


def _execute(plan: Plan) -> list[Record]:
    from bench import runner
    from bench.cli.progress import Display

    if not plan.jobs:
        return runner.execute(plan, lambda event: None)

    estimates = _estimates(plan)
    weights = {
        job.distillation.key: (estimates.distillation(job) + estimates.evaluation(job)).known
        for job in plan.jobs
    }
    with Display(plan.jobs, weights) as display:
        return runner.execute(plan, display)


def _estimates(plan: Plan, flops_per_second: float | None = None) -> Estimates:
    from bench import datasets, records
    from bench.estimates import Estimates
    from bench.store import Store

    own = records.read_all(Store(plan.options.store).records)
    published = records.read_all(PUBLISHED)
    specs = {
        name: datasets.describe(text, data_root=plan.options.data_root)
        for name, text in plan.references.items()
    }
    return Estimates([*own, *published], specs, flops_per_second)


@dataclass
class _Left:
    """What one cell of the grid still asks for."""

    trials: int = 0
    distill: Seconds = field(default_factory=Seconds)
    evaluate: Seconds = field(default_factory=Seconds)


def _print_plan(plan: Plan, as_json: bool) -> None:
    """The plan as a table: what is done, what is left, what it will cost."""
    from rich.console import Console
    from rich.table import Table

    from bench.environment import choose_device
    from bench.measure import flops_per_second

    estimates = _estimates(plan, flops_per_second(choose_device(plan.options.device)))
    cells: dict[tuple[str, str, str], _Left] = defaultdict(_Left)
    for job in plan.jobs:
        source = job.distillation
        cell = cells[source.dataset, str(source.budget), source.method]
        cell.trials += len(job.trials)
        cell.distill += estimates.distillation(job)
        cell.evaluate += estimates.evaluation(job)
    total = sum((cell.distill + cell.evaluate for cell in cells.values()), Seconds())
    if as_json:
        rows = [
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
        ]
        summary = {"trials": len(plan.trials), "done": len(plan.done), "rows": rows}
        typer.echo(json.dumps(summary | {"seconds": total.known, "unmeasured": total.unknown}))
        return
    table = Table(title=f"{plan.rules.name} v{plan.rules.version}, {plan.rules.tier} tier")
    for column in ("dataset", "budget", "method", "trials left", "distil", "evaluate"):
        table.add_column(column)
    for (dataset, budget, method), cell in cells.items():
        times = (_time(cell.distill), _time(cell.evaluate))
        table.add_row(dataset, budget, method, str(cell.trials), *times)
    console = Console()
    console.print(table)
    console.print(
        f"{len(plan.trials)} trials, {len(plan.done)} done. Left: {_time(total)} of work on one "
        f"worker. Times are medians of equal work on record, else counted for this device; "
        f"'?' was never measured."
    )


def _time(seconds: Seconds) -> str:
    value = seconds.known
    unit = f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"
    unit = unit if value < 7200 else f"{value / 3600:.1f} h"
    if not seconds.unknown:
        return unit
    return f"{unit} + {seconds.unknown} × ?" if value else "?"


def _print_outcome(plan: Plan, records: list[Record], ran: int, as_json: bool) -> None:
    """Accuracies per cell, and what was done now."""
    if as_json:
        lines = [record.model_dump(mode="json", by_alias=True) for record in records]
        typer.echo(json.dumps({"ran": ran, "cached": len(plan.done), "records": lines}))
        return
    from rich.console import Console
    from rich.table import Table

    from bench.statistics import summarize

    cells: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for record in records:
        where = record.trial
        cell = (where.dataset, str(where.budget), record.method.name, where.track)
        cells[cell] += [record.metrics["accuracy"]] if record.status == "ok" else []
    held_out = ", validation split" if plan.options.split == "validation" else ""
    table = Table(
        title=f"{plan.rules.name} v{plan.rules.version}, {plan.rules.tier} tier{held_out}"
    )
    for column in ("dataset", "budget", "method", "track", "accuracy %", "95 % interval", "n"):
        table.add_column(column, justify="right" if column in ("accuracy %", "n") else "left")
    for names, values in sorted(cells.items()):
        table.add_row(*names, *_figures(summarize(values)) if values else ("-", "", "0"))
    console = Console()
    console.print(table)
    now = "Nothing was left to do" if not ran else f"{ran} trials run now"
    console.print(
        f"{now}; {len(plan.done)} were recorded before. Records: {plan.options.store / 'records'}",
        highlight=False,
    )


def _figures(summary: Summary) -> tuple[str, str, str]:
    low_high = summary.interval
    interval = f"[{100 * low_high[0]:.1f}, {100 * low_high[1]:.1f}]" if low_high else ""
    return f"{100 * summary.mean:.1f} ± {100 * summary.std:.1f}", interval, str(summary.n)
