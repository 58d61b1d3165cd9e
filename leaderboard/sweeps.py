"""Sweeps: distillations that differ in one parameter alone, as tables across its values.

Charts draw the same sweeps as curves (:mod:`leaderboard.site.memory`). Pure functions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from bench.files import canonical_json
from bench.profiling.records import Kind
from bench.studies import Cell, Column, Study
from bench.studies import Kind as CellKind
from leaderboard import figures
from leaderboard.figures import KINDS, CellOf, Columns
from leaderboard.works import Work, devices, named, varying


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A parameter that costs are shown against.

    Attributes:
        parameter: its name.
        title: in words.
        scale: of a chart's axis.
    """

    parameter: str
    title: str
    scale: str


AXES = (
    Axis(parameter="matching_steps", title="Matching steps", scale="linear"),
    Axis(parameter="segment", title="Images processed at once", scale="log"),
)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Distillations of one method with several values of one parameter, all else being equal.

    Attributes:
        name: the method, with what tells it from other sweeps of the same method.
        axis: what differs.
        works: by that parameter, ascending.
    """

    name: str
    axis: Axis
    works: tuple[Work, ...]

    @property
    def points(self) -> dict[int, Work]:
        """The works by the parameter's value."""
        return {_value(work, self.axis): work for work in self.works}


def sweeps(members: Sequence[Work], axis: Axis) -> list[Sweep]:
    """The sweeps along ``axis``: at least two values of its parameter."""
    groups: dict[tuple[str, int, str], list[Work]] = defaultdict(list)
    for work in members:
        value = work.parameters.get(axis.parameter)
        if work.phase == "distill" and isinstance(value, int) and not isinstance(value, bool):
            rest = {name: own for name, own in work.parameters.items() if name != axis.parameter}
            groups[work.method, work.version, canonical_json(rest)].append(work)
    swept = [group for group in groups.values() if len(group) > 1]
    return [
        Sweep(
            name=_name(group[0], swept, axis),
            axis=axis,
            works=tuple(sorted(group, key=lambda work: _value(work, axis))),
        )
        for group in swept
    ]


def studies(members: Sequence[Work]) -> list[Study]:
    """Memory and time against each parameter that was swept, one kind of figure a table."""
    found = [study for axis in AXES for study in _studies(sweeps(members, axis), axis)]
    return [study for study in found if study]


def others(members: Sequence[Work]) -> list[Work]:
    """The works that no such table has: not swept, or of a method all of whose phases are known."""
    swept = [work for axis in AXES for sweep in sweeps(members, axis) for work in sweep.works]
    whole = {_settings(work) for work in members if work.phase != "distill"}
    return [work for work in members if work not in swept or _settings(work) in whole]


def _settings(work: Work) -> tuple[str, int, str]:
    return work.method, work.version, canonical_json(work.parameters)


def _value(work: Work, axis: Axis) -> int:
    return int(work.parameters[axis.parameter])


def _name(work: Work, swept: Sequence[Sequence[Work]], axis: Axis) -> str:
    same = [group[0].parameters for group in swept if group[0].method == work.method]
    changes = [(n, work.parameters.get(n)) for n in varying(same) if n != axis.parameter]
    return named(work.method, work.version, changes)


Line = tuple[Sweep, str, CellOf[Work]]
"""A sweep, a device, and what each work of the sweep has there."""


def _studies(found: Sequence[Sweep], axis: Axis) -> Iterator[Study | None]:
    against = f"against {axis.title.lower()}"
    shown = [work for sweep in found for work in sweep.works]
    forecast: list[Line] = [(sweep, "any CUDA device", figures.forecast_peak) for sweep in found]
    fits: Columns[Line] = [
        (Column(name=f"Largest here that fits {name}", kind="number"), _largest(name))
        for name in devices(shown, "forecast")
    ]
    yield _study(f"Peak memory {against}, forecast", forecast, "bytes", fits)
    measured = _lines(found, "measured", figures.measured_peak)
    yield _study(f"Peak memory {against}, measured", measured, "bytes")
    for kind in KINDS:
        timed = _lines(found, kind, partial(figures.seconds, kind))
        yield _study(f"Time of a step {against}, {kind}", timed, "seconds")


def _lines(found: Sequence[Sweep], kind: Kind, figure: Callable[[str], CellOf[Work]]) -> list[Line]:
    return [(sweep, name, figure(name)) for sweep in found for name in devices(sweep.works, kind)]


def _study(
    title: str, lines: Sequence[Line], kind: CellKind, more: Columns[Line] | None = None
) -> Study | None:
    """A line a sweep and device, a column a value of the parameter."""
    filled = [line for line in lines if any(line[2](work) is not None for work in line[0].works)]
    values = sorted({value for sweep, _, _ in filled for value in sweep.points})
    columns: Columns[Line] = [
        (Column(name="Method"), lambda line: line[0].name),
        (Column(name="Device"), lambda line: line[1]),
        *((Column(name=str(value), kind=kind), _at(value)) for value in values),
    ]
    return figures.study(title, [*columns, *(more or [])], filled)


def _at(value: int) -> CellOf[Line]:
    def cell(line: Line) -> Cell:
        work = line[0].points.get(value)
        return line[2](work) if work else None

    return cell


def _largest(name: str) -> CellOf[Line]:
    """The largest swept value at which a forecast says that the device has memory enough."""

    def cell(line: Line) -> Cell:
        fitting = [
            value
            for value, work in line[0].points.items()
            if (record := work.figures.get(("forecast", name))) and record.fits
        ]
        return max(fitting, default=None)

    return cell
