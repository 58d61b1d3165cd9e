"""What methods cost, as tables: measured, forecast and printed figures, each in its own columns.

::

    profile records ──► works (figures of the same work) ──► sections (tables by place)
    printed costs   ──► the tables beside the papers, with ratios where the work is the same

Pure functions; torch is not imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.profiling.records import ProfileRecord
from bench.studies import Cell, Column, Kind, Study
from leaderboard import figures, sweeps, wording, works
from leaderboard.figures import KINDS, CellOf, Columns
from leaderboard.printed_costs import (
    Metric,
    PrintedCost,
    PrintedRatio,
    printed_costs,
    printed_ratios,
)
from leaderboard.works import Place, Work, devices

PAIR = ("a100-80gb", "rtx4090")
"""The papers' card and everyone's: seconds on the first over seconds on the second."""

REMARKS = (
    "Measured: the median of repeated steps, and the peak of CUDA's allocator or, on the CPU, of "
    "live tensors. Forecast: the same code on tensors without data, the allocator's peak on any "
    "CUDA device without the libraries' workspaces, times by roofline. Printed: by papers, whose "
    "MB are read as the driver's MiB, and a GB as 1,000 of them; the driver also counts context "
    "and reserves, so printed peaks are larger.",
    "Measured, forecast and printed figures never share a column. Ratios compare the same work: "
    "method, dataset, budget, network and parameters; for printed figures everything that the "
    "paper states, where its own device may be another. Commands profile presets; --set gives what "
    "rows name, --sweep many values of it.",
)
"""What figures mean, below their heading."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """What is known of one place.

    Attributes:
        place: rules, dataset, budget and network.
        command: profiles its methods again, with the parameters of their presets.
        facts: sentences: rules and commits, parameters that all rows of a method share.
        works: the works with a figure.
        studies: memory, time, and each beside the papers, where there is anything to show.
    """

    place: Place
    command: str
    facts: tuple[str, ...]
    works: tuple[Work, ...]
    studies: tuple[Study, ...]


def sections(records: Iterable[ProfileRecord]) -> list[Section]:
    """A section for each place, in a fixed order."""
    by_place = groupby(works.works(records), key=lambda work: work.place)
    return [_section(place, tuple(members)) for place, members in by_place]


def unmatched(found: Sequence[Section]) -> Study | None:
    """Printed figures of works that have none here; ``None`` where each has one."""
    done = [work for section in found for work in section.works]
    lacking = [cost for cost in printed_costs() if not any(map(cost.run.is_of, done))]
    columns: Columns[PrintedCost] = [
        (Column(name="Method"), lambda cost: cost.run.method),
        (Column(name="Dataset"), lambda cost: cost.run.dataset),
        (Column(name="Budget"), lambda cost: str(cost.run.budget) if cost.run.budget else None),
        (Column(name="Network"), lambda cost: cost.run.network),
        (Column(name="Stated"), lambda cost: wording.recipe(cost.run.settings)),
        *figures.printed(lambda cost: cost),
    ]
    return figures.study("Printed, and the same work not profiled here", columns, lacking)


def _section(place: Place, members: tuple[Work, ...]) -> Section:
    shown = tuple(work for work in members if not _skipped(work))
    peaks, times = figures.peaks(shown), figures.times(shown)
    alone = sweeps.others(shown)
    tables = (
        *sweeps.studies(shown),
        _memory(alone, peaks),
        _time(alone, times),
        _beside(shown, "peak_memory", "Peak memory beside the papers", peaks),
        _beside(shown, "runtime", "Time of a step beside the papers", times),
        _against(shown, "peak_memory", "Peak memory of one method over another", peaks),
        _against(shown, "runtime", "Time of one method over another", times),
    )
    return Section(
        place=place,
        command=_command(place, members),
        facts=(_origin(place, members), *_shared(members), *filter(None, map(_skipped, members))),
        works=shown,
        studies=tuple(table for table in tables if table),
    )


def _memory(shown: Sequence[Work], peaks: Columns[Work]) -> Study | None:
    ratios: Columns[Work] = [
        (
            Column(name=f"{name}: measured / forecast", kind="number"),
            figures.quotient(figures.cuda_peak(name), figures.forecast_peak),
        )
        for name in devices(shown, "measured")
    ]
    fits: Columns[Work] = [
        (Column(name=f"fits {name}, forecast"), figures.fits(name))
        for name in devices(shown, "forecast")
    ]
    return figures.study("Peak memory", [*figures.names(), *peaks, *ratios, *fits], shown)


def _time(shown: Sequence[Work], times: Columns[Work]) -> Study | None:
    first, second = PAIR
    pair: Columns[Work] = [
        (
            Column(name=f"{first} / {second}, {kind}", kind="number"),
            figures.quotient(figures.seconds(kind, first), figures.seconds(kind, second)),
        )
        for kind in KINDS
    ]
    ratios: Columns[Work] = [
        (
            Column(name=f"{name}: measured / forecast", kind="number"),
            figures.quotient(figures.seconds("measured", name), figures.seconds("forecast", name)),
        )
        for name in devices(shown, "measured")
    ]
    steps: Columns[Work] = [(Column(name="Steps", kind="number"), figures.steps)]
    columns = [*figures.names(), *times, *pair, *ratios, *steps]
    return figures.study("Time of a step", columns, shown, _band(shown))


def _beside(shown: Sequence[Work], metric: Metric, title: str, ours: Columns[Work]) -> Study | None:
    """Works of which papers print a figure, and every figure of ours with its ratio to that."""
    pairs = [
        (work, cost)
        for work in shown
        for cost in printed_costs()
        if cost.metric == metric and cost.run.is_of(work)
    ]
    kind: Kind = "bytes" if metric == "peak_memory" else "seconds"
    columns: Columns[tuple[Work, PrintedCost]] = [
        (Column(name="Method"), lambda pair: pair[0].title),
        *figures.printed(_second),
        (Column(name="Printed, a step", kind=kind), _printed_value),
    ]
    for column, figure in ours:
        ratio = Column(name=f"{column.name} / printed", kind="number")
        cell = _of_first(figure)
        columns += [(column, cell), (ratio, figures.quotient(cell, _printed_value))]
    return figures.study(title, columns, pairs)


def _of_first(figure: CellOf[Work]) -> CellOf[tuple[Work, PrintedCost]]:
    return lambda pair: figure(pair[0])


def _second(pair: tuple[Work, PrintedCost]) -> PrintedCost:
    return pair[1]


def _printed_value(pair: tuple[Work, PrintedCost]) -> Cell:
    return _second(pair).value


Rivals = tuple[PrintedRatio, Work, Work]
"""A printed ratio, and two works that it may be of."""


def _against(
    shown: Sequence[Work], metric: Metric, title: str, ours: Columns[Work]
) -> Study | None:
    """Ratios of two methods that papers print, and the same ratios of our figures."""
    rivals = [
        (ratio, above, below)
        for ratio in printed_ratios()
        if ratio.metric == metric
        for above in shown
        if ratio.above.is_of(above)
        for below in shown
        if ratio.below.is_of(below)
    ]
    columns: Columns[Rivals] = [
        (Column(name="Method"), lambda rival: rival[1].title),
        (Column(name="Over"), lambda rival: rival[2].title),
        *figures.printed(_printed_ratio),
        *((Column(name=column.name, kind="number"), _of_rivals(cell)) for column, cell in ours),
    ]
    return figures.study(title, columns, rivals)


def _printed_ratio(rivals: Rivals) -> PrintedRatio:
    return rivals[0]


def _of_rivals(figure: CellOf[Work]) -> CellOf[Rivals]:
    """The ratio of a figure; where whole runs were compared, of all their steps."""

    def of(work: Work, ratio: PrintedRatio) -> Cell:
        value, steps = figure(work), figures.steps(work)
        if not ratio.whole_run or not isinstance(value, int | float):
            return value
        return value * steps if isinstance(steps, int | float) else None

    return figures.quotient(lambda r: of(r[1], r[0]), lambda r: of(r[2], r[0]))


def _band(shown: Sequence[Work]) -> tuple[str, ...]:
    """How wide the bands of forecast times are."""
    factors = {
        round(record.seconds_band[1] / record.seconds_per_step, 3)
        for work in shown
        for record in work.figures.values()
        if record.seconds_band and record.seconds_per_step
    }
    if not factors:
        return ()
    return (f"Forecast times are meant within a factor of {max(factors):g}, either way.",)


def _command(place: Place, members: Sequence[Work]) -> str:
    methods = dict.fromkeys(work.method for work in members)
    words = ["bench", "profile", "--method", ",".join(methods), "--tier", place.tier]
    words += ["--dataset", place.dataset]
    words += ["--budget", place.budget.word]
    forecast = devices(members, "forecast")
    return wording.command(*words, *(["--forecast", ",".join(forecast)] if forecast else []))


def _origin(place: Place, members: Sequence[Work]) -> str:
    records = [record for work in members for record in work.figures.values()]
    commits = sorted({wording.commit(record.environment.commit) for record in records} - {""})
    newest = max(record.time for record in records).partition("T")[0]
    made = f"; made at {', '.join(commits)}" if commits else ""
    return f"Rules {place.protocol_hash[:12]}{made}; newest record {newest}."


def _shared(members: Sequence[Work]) -> Iterator[str]:
    """For each method the parameters that its rows do not name, which are the same in all."""
    for (method, version), group in groupby(members, key=lambda work: (work.method, work.version)):
        one = next(group)
        named = dict(one.changes)
        same = {name: one.parameters[name] for name in sorted(one.parameters) if name not in named}
        if same:
            yield f"{works.named(method, version, ())}: {wording.recipe(same)}."


def _skipped(work: Work) -> str:
    """Why a work has no figure; ``""`` where it has one."""
    records = list(work.figures.values())
    if any(record.status != "skipped" for record in records):
        return ""
    return f"{work.title}, {work.phase}: skipped, {records[-1].reason}."
