"""Run the cells of the gate, one trial after the other on one thread."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median_low, stdev
from typing import TYPE_CHECKING, Any

from bench.errors import InvalidValue
from bench.profiling.records import PHASES
from leaderboard.regression import kernel
from leaderboard.regression.grid import Cell

if TYPE_CHECKING:
    from bench.records import Record
    from bench.worker import Event


Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the trials of a cell gave.

    Attributes:
        cell: the cell's name.
        trials: ids of the trials that went well, by seed: they change with any setting.
        accuracies: fractions in [0, 1], in the order of ``trials``.
        times: seconds of distillation and evaluation in units of the calibration kernel's, which
            is timed right after each trial; the first trial warms up and is left out.
        peak_bytes: peak of live tensor storage by phase: the lower median over seeds.
        mishaps: what ended other than well.
        noise: standard deviation of the accuracies' change under other arithmetic; ``None`` where
            it was not measured.
    """

    cell: str
    trials: tuple[str, ...]
    accuracies: tuple[float, ...]
    times: tuple[float, ...]
    peak_bytes: dict[str, int]
    mishaps: tuple[str, ...] = ()
    noise: float | None = None


def measure(
    cells: Iterable[Cell], data_root: Path | None, report: Report, *, disturbed: bool = False
) -> list[Measured]:
    """Run every cell from nothing, in a store that is gone afterwards.

    Args:
        cells: what to run.
        data_root: where real data lie.
        report: called with a cell's name before it runs.
        disturbed: sum in another order, as another processor might: without oneDNN's kernels.
    """
    with tempfile.TemporaryDirectory() as folder, _arithmetic(disturbed):
        found = []
        for number, cell in enumerate(cells):
            report(cell.name)
            found.append(_measure(cell, Path(folder) / str(number), data_root))
        return found


def measure_with_noise(
    cells: Sequence[Cell], data_root: Path | None, report: Report
) -> list[Measured]:
    """As :func:`measure`, and a second time under other arithmetic, for the noise between machines.

    Raises:
        InvalidValue: a trial went wrong, or there is none: no baseline can come of that.
    """
    found = []
    for first, second in zip(
        measure(cells, data_root, report),
        measure(cells, data_root, report, disturbed=True),
        strict=True,
    ):
        for mishap in first.mishaps + second.mishaps:
            raise InvalidValue(f"{first.cell} cannot be a baseline: a trial ended {mishap}.")
        pairs = zip(first.accuracies, second.accuracies, strict=True)
        found.append(replace(first, noise=stdev(new - old for old, new in pairs)))
    if not found:
        raise InvalidValue("Nothing was measured; the grid of the check has no cells.")
    return found


@contextmanager
def _arithmetic(disturbed: bool) -> Iterator[None]:
    import torch

    kernels: Any = torch.backends.mkldnn  # a module whose type says too little
    usual = kernels.enabled
    kernels.enabled = usual and not disturbed
    try:
        yield
    finally:
        kernels.enabled = usual


def _measure(cell: Cell, store: Path, data_root: Path | None) -> Measured:
    from bench import runner
    from bench.executors import run_here
    from bench.worker import Finished, Settings

    plan = runner.plan(
        runner.Options(
            protocol=cell.protocol,
            methods=(cell.method,),
            datasets=(cell.dataset,),
            budgets=(cell.budget,),
            seeds=cell.seeds,
            tracks=("standard",),
            changes={cell.method: cell.changes},
            store=store,
            data_root=data_root,
            device="cpu",
        )
    )
    settings = Settings(
        store=store, data_root=data_root, references=plan.references, device="cpu", threads=1
    )
    ended: list[tuple[Record, float]] = []

    def handle(event: Event) -> None:
        if isinstance(event, Finished):
            ended.append((event.record, kernel.seconds()))

    run_here(plan.jobs, settings, handle)
    return summarize(cell.name, ended)


def summarize(cell: str, ended: Sequence[tuple[Record, float]]) -> Measured:
    """A cell's figures from its records, each with the kernel's seconds beside it."""
    good = [(record, unit) for record, unit in ended if record.status == "ok"]
    peaks: dict[str, list[int]] = defaultdict(list)
    for record, _ in good:
        for phase in PHASES:
            if (cost := getattr(record.cost, phase)) is not None:
                peaks[phase].append(cost.peak_bytes)
    return Measured(
        cell=cell,
        trials=tuple(record.id for record, _ in good),
        accuracies=tuple(record.metrics["accuracy"] for record, _ in good),
        times=tuple(_seconds(record) / unit for record, unit in good[1:]),
        # the first trial of a process may count what later ones find in memory: real images
        peak_bytes={phase: median_low(values) for phase, values in peaks.items()},
        mishaps=tuple(f"{r.status}: {r.reason}" for r, _ in ended if r.status != "ok"),
    )


def _seconds(record: Record) -> float:
    costs = (record.cost.distill, record.cost.evaluate)
    return sum(cost.seconds for cost in costs if cost is not None)
