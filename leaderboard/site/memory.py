"""Peak memory against a swept parameter: a curve a method, the papers' points beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.profiling import catalogue
from leaderboard import wording
from leaderboard.efficiency import Section
from leaderboard.printed_costs import PrintedCost, printed_costs
from leaderboard.site import links, vega
from leaderboard.site.charts import SMALLEST_BYTES, Chart, Point
from leaderboard.sweeps import AXES, Axis, Sweep, sweeps
from leaderboard.works import Work, devices

PRINTED = "printed"
KINDS = ("measured", "forecast", PRINTED)
SHAPES = {"measured": "circle", "forecast": "square", PRINTED: "diamond"}


def memory_charts(section: Section) -> Iterator[Chart]:
    """A chart for each parameter of which some method has two values, all else being equal."""
    for axis in AXES:
        swept = sweeps(section.works, axis)
        if swept:
            yield _chart(section, axis, _points(swept, axis.parameter))


def _points(swept: Sequence[Sweep], parameter: str) -> list[Point]:
    """Every figure of the curves, and what papers print for them."""
    ours = [
        point
        for sweep in swept
        for at, work in sweep.points.items()
        for point in _figures(sweep.name, work, at)
    ]
    printed = [
        _point(name, PRINTED, int(cost.run.settings[parameter]), cost.value, cost.source)
        | {"shown": cost.printed}
        for cost in printed_costs()
        if cost.run.settings.get(parameter, "").isdecimal()
        for name in _curves_beside(cost, swept, parameter)[:1]
    ]
    return sorted(
        [*ours, *printed], key=lambda p: (p["method"], KINDS.index(p["kind"]), p["where"], p["at"])
    )


def _curves_beside(cost: PrintedCost, swept: Sequence[Sweep], parameter: str) -> list[str]:
    """The curves that a printed peak belongs to, whatever the value of the parameter."""
    if cost.metric != "peak_memory":
        return []
    return [sweep.name for sweep in swept if cost.run.is_of(sweep.works[0], free=parameter)]


def _figures(name: str, work: Work, at: int) -> Iterator[Point]:
    if work.forecast_peak is not None:
        yield _point(name, "forecast", at, work.forecast_peak, "any CUDA device")
    for (kind, where), record in work.figures.items():
        if kind == "measured" and record.peak_bytes is not None:
            yield _point(name, kind, at, record.peak_bytes, where)


def _point(method: str, kind: str, at: int, value: float, where: str) -> Point:
    return {
        "method": wording.plain(method),
        "kind": kind,
        "at": at,
        "bytes": max(value, SMALLEST_BYTES),
        "shown": wording.size(int(value)),
        "where": wording.plain(where),
    }


def _chart(section: Section, axis: Axis, points: Sequence[Point]) -> Chart:
    place = section.place
    highest = max(point["bytes"] for point in points)
    limits = [limit for limit in _limits(section) if limit["bytes"] <= highest]
    remark = " Dashed rules: the memory of devices." if limits else ""
    return Chart(
        id=links.anchor("memory", place.title, place.protocol_hash, axis.parameter),
        title=f"Memory against {axis.title.lower()}",
        caption="Peak memory of a distill step. Lines join measured or forecast points of one "
        f"method; what papers print stands as points alone.{remark}",
        spec=_spec(axis, points, limits),
        head=("Method", axis.title, "Measured", "Forecast", "Printed", "Where"),
        body=tuple(_line(point) for point in points),
    )


def _line(point: Point) -> tuple[str, ...]:
    """A point as texts, its size in the column of its kind."""
    sizes = (point["shown"] if point["kind"] == kind else wording.NONE for kind in KINDS)
    return (point["method"], str(point["at"]), *sizes, point["where"])


def _limits(section: Section) -> list[Point]:
    """The memory of the devices that forecasts are for."""
    known = catalogue.devices()
    return [
        {"device": name, "bytes": known[name].memory_bytes}
        for name in devices(section.works, "forecast")
        if name in known
    ]


def _spec(axis: Axis, points: Sequence[Point], limits: Sequence[Point]) -> vega.Spec:
    kinds = [kind for kind in KINDS if any(point["kind"] == kind for point in points)]
    shape = vega.shapes("kind", kinds, [SHAPES[kind] for kind in kinds])
    dash = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": list(KINDS[:2]), "range": [[1, 0], [6, 3]]},
        "legend": None,
    }
    tooltip = vega.tooltips(
        method="Method", at=axis.title, kind="Kind", shown="Peak memory", where="Where"
    )
    place = _place(axis, points)
    layers: list[vega.Spec] = [
        {
            "data": {"values": [point for point in points if point["kind"] != PRINTED]},
            "mark": {"type": "line", "strokeWidth": 2, "aria": False},
            "encoding": place | {"strokeDash": dash, "detail": {"field": "where"}},
        },
        {
            "data": {"values": list(points)},
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 0.9},
            "encoding": place | {"shape": shape, "tooltip": tooltip},
        },
    ]
    return vega.chart(layer=layers + (_guides(limits, place["y"]) if limits else []))


def _place(axis: Axis, points: Sequence[Point]) -> vega.Spec:
    """Where a point stands, and in which colour."""
    ticks = _ticks([point["bytes"] for point in points])
    colour = vega.by_method(points)
    narrow = {"columns": {"expr": "width < 400 ? 1 : 3"}}
    return {
        "x": {
            "field": "at",
            "type": "quantitative",
            "title": axis.title,
            "scale": {"type": axis.scale, "nice": axis.scale != "log"},
            "axis": {"grid": False, "format": "d"},
        },
        "y": {
            "field": "bytes",
            "type": "quantitative",
            "title": "Peak memory",
            "scale": {"type": "log", "domain": [ticks[0], ticks[-1]], "nice": False},
            "axis": {"values": ticks, "labelExpr": "format(datum.value, '~s') + 'B'"},
        },
        "color": colour | {"legend": colour["legend"] | narrow},
    }


def _guides(limits: Sequence[Point], y: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A dashed rule at the memory of each device, with its name above the right end."""
    values = {"values": list(limits)}
    tooltip = [{"field": "device", "type": "nominal", "title": "Memory of"}]
    return [
        {
            "data": values,
            "mark": {"type": "rule", "strokeDash": [5, 4], "style": "guide"},
            "encoding": {"y": y, "tooltip": tooltip},
        },
        {
            "data": values,
            "mark": {"type": "text", "align": "left", "dx": 4, "dy": -5},
            "encoding": {"x": {"value": 0}, "y": y, "text": {"field": "device"}},
        },
    ]


def _ticks(sizes: Sequence[float]) -> list[float]:
    """1, 2, 5, 10 … gigabytes or kilobytes: the first at or below all sizes, the last above."""
    series = [digit * 10**power for power in range(3, 15) for digit in (1, 2, 5)]
    below = [tick for tick in series if tick <= min(sizes)][-1]
    above = next((tick for tick in series if tick >= max(sizes)), series[-1])
    return [tick for tick in series if below <= tick <= above]
