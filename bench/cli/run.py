"""``bench run``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
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
    PrecisionOption,
    SeedsOption,
    StoreOption,
    StrategyOption,
)
from bench.studies import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from bench.estimates import Estimates
    from bench.records import Environment, Record
    from bench.runner import Plan

DEFAULT_PROTOCOL = "ipc-grid"
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
    ] = DEFAULT_PROTOCOL,
    tier: Annotated[str, typer.Option("--tier", "-t", help="quick, lite or paper.")] = "quick",
    method: MethodOption = None,
    dataset: DatasetsOption = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            "--budget",
            "-b",
            help="Images per class, `10`; or those that a generator draws an epoch, `'inpc 10'`. "
            "Default: the protocol's grid.",
        ),
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
    executor: Annotated[
        str, typer.Option("--executor", help="local; or ray, for a cluster (docs/cluster.md).")
    ] = "local",
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Worker processes. Default: one a core or GPU."),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address",
            help="The Ray cluster, `host:port` or `auto`; without it and `$RAY_ADDRESS` one is "
            "started here.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=1,
            help="Seconds after which an expert, a distillation or a student is given up.",
        ),
    ] = None,
    precision: PrecisionOption = "fp32",
    strategy: StrategyOption = "auto",
    store: StoreOption = Path("runs"),
    data_root: DataRootOption = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a parameter: `dm.lr_images=10`, or `lr_images=10` where a single "
            "`--method` is named. Repeat for several.",
        ),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep",
            help="Sweep a parameter of the methods, `lr_images=1,10`, or of one, "
            "`dm.lr_images=1,10`, in a protocol that sweeps. Repeat for several.",
        ),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            "--network",
            "-n",
            help="Distil with this network, in a protocol that leaves the choice. "
            "Repeat for several.",
            autocompletion=shared.complete("networks"),
        ),
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

    What is recorded is not done again. Ctrl-C (exit code 130) or a kill loses at most the work
    since the last checkpoint; the same command goes on. Exit code 1: a trial went wrong, now or
    before.

    Example: `bench run --protocol ipc-grid --method random --method dm --budget 1`
    """
    from bench import runner
    from bench.executors import EXECUTORS
    from bench.trials import TRACKS

    shared.known("executor", [executor], EXECUTORS)
    if executor == "ray":
        ray_address = ray_address or os.environ.get("RAY_ADDRESS")
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
        changes=shared.changes(change, methods),
        sweeps=shared.sweeps(sweep, methods),
        networks=shared.names(network),
        precision=shared.precision(precision),
        strategy=shared.strategy(strategy),
        store=store,
        data_root=data_root,
        device=device,
        executor=executor,
        jobs=jobs,
        ray_address=ray_address,
        timeout=timeout,
        fresh=fresh,
    )
    plan = runner.plan(asked, read_data=not dry_run)
    if dry_run:
        _forecast(plan, as_json)
        return
    from bench.cli import outcome

    new = _execute(plan, silent=as_json)
    records, ran = [*plan.done.values(), *new], len(new) - len(plan.shared)
    if as_json:
        typer.echo(json.dumps(outcome.as_dict(plan, records, ran)))
    else:
        outcome.show(plan, records, ran)
    if against := outcome.unpublishable(new):
        typer.echo(against, err=True)
    if runner.failures(records):
        raise typer.Exit(1)


def _forecast(plan: Plan, as_json: bool) -> None:
    from bench.cli import forecast

    here = _here(plan)
    rows, asked = forecast.rows(plan, _estimates(plan)), forecast.asked_of_gpus(plan)
    if as_json:
        typer.echo(json.dumps(forecast.as_dict(plan, rows, here.device, asked)))
    else:
        forecast.show(plan, rows, here.device, asked)


def _execute(plan: Plan, *, silent: bool) -> list[Record]:
    """Do what is left, with progress on stderr, and tables so far unless ``silent``."""
    from bench import runner
    from bench.cli.progress import Display

    if not plan.jobs:
        return runner.execute(plan, lambda event: None)
    estimates = _estimates(plan)
    weights = estimates.by_trial(plan.jobs)
    with Display(plan.jobs, weights, None if silent else _so_far(plan)) as display:
        try:
            return runner.execute(plan, display, estimates)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_interrupted(plan, display.ended)) from None


def _interrupted(plan: Plan, ended: int) -> str:
    """What stands of a plan of which so many trials have ended now, and how to go on."""
    recorded = len(plan.done) + len(plan.shared) + ended
    without = "without --fresh " if plan.options.fresh else ""
    return (
        f"Interrupted; {recorded} of {counted(len(plan.trials), 'trial')} "
        f"{'is' if recorded == 1 else 'are'} recorded, the same command {without}goes on."
    )


def _so_far(plan: Plan) -> Callable[[list[Record]], RenderableType]:
    """What the tables of a run say when these new records have come."""
    from rich.console import Group

    from bench.cli import outcome

    shared_ones = [record.shared_by(trial) for trial, record in plan.shared]
    before = [*plan.done.values(), *shared_ones]
    return lambda new: Group(*outcome.interim(plan, [*before, *new]))


def _estimates(plan: Plan) -> Estimates:
    from bench import datasets, records
    from bench.environment import choose_device
    from bench.estimates import Estimates
    from bench.measure import flops_per_second
    from bench.store import Store
    from bench.student_times import StudentTimes

    store = Store(plan.options.store)
    own, _ = records.scan(store.records)
    published, _ = records.scan(PUBLISHED)  # a damaged line costs an estimate, not the run
    specs = {
        name: datasets.describe(text, data_root=plan.options.data_root)
        for name, text in plan.references.items()
    }
    device = choose_device(plan.options.device)
    untimed = StudentTimes(specs, device, flops_per_second(device))
    held = None if plan.options.fresh else store.holds
    return Estimates([*own, *published], _here(plan), untimed, held)


def _here(plan: Plan) -> Environment:
    """The device that a plan will be done on."""
    from bench.environment import choose_device, describe

    return describe(choose_device(plan.options.device))
