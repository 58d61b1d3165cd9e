"""What a work has in each column of a table; measured, forecast and printed never share one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from bench.profiling.records import Kind, ProfileRecord
from bench.studies import Cell, Column, Study
from leaderboard.printed_costs import Printed
from leaderboard.works import Work, devices

KINDS: tuple[Kind, ...] = ("measured", "forecast")

T = TypeVar("T")
CellOf = Callable[[T], Cell]
"""What an item has in one column."""
Columns = list[tuple[Column, CellOf[T]]]


def names() -> Columns[Work]:
    """Which work a row is of."""
    return [
        (Column(name="Method"), lambda work: work.title),
        (Column(name="Phase"), lambda work: work.phase),
    ]


def printed(number: Callable[[T], Printed]) -> Columns[T]:
    """What stands in a paper, as it stands there."""
    return [
        (Column(name="Printed"), lambda item: number(item).printed),
        (Column(name="Where"), lambda item: number(item).source),
        (Column(name="Remarks"), lambda item: number(item).remarks or None),
    ]


def peaks(shown: Sequence[Work]) -> Columns[Work]:
    """Peak memory: measured by device, and forecast for any CUDA device."""
    measured: Columns[Work] = [
        (Column(name=f"{name}, measured", kind="bytes"), measured_peak(name))
        for name in devices(shown, "measured")
    ]
    return [*measured, (Column(name="CUDA, forecast", kind="bytes"), forecast_peak)]


def times(shown: Sequence[Work]) -> Columns[Work]:
    """Seconds of a step by kind and device."""
    return [
        (Column(name=f"{name}, {kind}", kind="seconds"), seconds(kind, name))
        for kind in KINDS
        for name in devices(shown, kind)
    ]


def measured_peak(name: str) -> CellOf[Work]:
    """Bytes on one device, or that they were too many."""

    def cell(work: Work) -> Cell:
        record = work.figures.get(("measured", name))
        return "out of memory" if record and record.status == "oom" else _peak(record)

    return cell


def cuda_peak(name: str) -> CellOf[Work]:
    """A measured peak that means what a forecast means."""

    def cell(work: Work) -> Cell:
        record = work.figures.get(("measured", name))
        return _peak(record) if record and record.reserved_bytes is not None else None

    return cell


def _peak(record: ProfileRecord | None) -> Cell:
    return record.peak_bytes if record else None


def forecast_peak(work: Work) -> Cell:
    """Bytes, by the latest forecast."""
    return work.forecast_peak


def seconds(kind: Kind, name: str) -> CellOf[Work]:
    """Seconds of a step on one device."""

    def cell(work: Work) -> Cell:
        record = work.figures.get((kind, name))
        return record.seconds_per_step if record else None

    return cell


def fits(name: str) -> CellOf[Work]:
    """Whether a forecast says that the memory of a device is enough, and what would help."""

    def cell(work: Work) -> Cell:
        record = work.figures.get(("forecast", name))
        if record is None or record.fits is None:
            return None
        if record.fits or not record.remedy:
            return "yes" if record.fits else "no"
        return f"no; with {record.remedy}"

    return cell


def steps(work: Work) -> Cell:
    """How many steps the phase has."""
    return next((r.steps for r in work.figures.values() if r.steps is not None), None)


def quotient(value: CellOf[T], reference: CellOf[T]) -> CellOf[T]:
    """The ratio of two numbers; nothing where either is none, a text or zero."""

    def cell(item: T) -> Cell:
        above, below = value(item), reference(item)
        if isinstance(above, int | float) and isinstance(below, int | float) and below:
            return above / below
        return None

    return cell


def study(
    title: str, columns: Columns[T], items: Sequence[T], notes: tuple[str, ...] = ()
) -> Study | None:
    """A table without the columns that no row fills; ``None`` of no rows."""
    rows = [[cell(item) for _, cell in columns] for item in items]
    kept = [n for n in range(len(columns)) if any(row[n] is not None for row in rows)]
    if not rows:
        return None
    return Study(
        title=title,
        columns=tuple(columns[n][0] for n in kept),
        rows=tuple(tuple(row[n] for n in kept) for row in rows),
        notes=notes,
    )
