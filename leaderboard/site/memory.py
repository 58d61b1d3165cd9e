"""Peak memory against a swept parameter: a curve a method, the papers' points beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.files import canonical_json
from bench.profiling import catalogue
from leaderboard import wording
from leaderboard.efficiency import Section
from leaderboard.printed_costs import PrintedCost, printed_costs
from leaderboard.site import links, vega
from leaderboard.site.charts import Chart, Point
from leaderboard.works import Work, devices, named, varying

PRINTED = "printed"
KINDS = ("measured", "forecast", PRINTED)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A parameter that memory is drawn against.

    Attributes:
        parameter: its name.
        title: in words.
        scale: of the axis.
    """

    parameter: str
    title: str
    scale: str


AXES = (
    Axis(parameter="matching_steps", title="Matching steps", scale="linear"),
    Axis(parameter="segment", title="Images processed at once", scale="log"),
)


def memory_charts(section: Section) -> Iterator[Chart]:
    """A chart for each parameter of which some method has two values, all else being equal."""
    for axis in AXES:
        swept = _sweeps(section.works, axis.parameter)
        if swept:
            yield _chart(section, axis, _points(swept, axis.parameter))


def _sweeps(members: Sequence[Work], parameter: str) -> dict[str, list[Work]]:
    """Distillations that differ in one parameter alone, by a name that tells them from others."""
    groups: dict[tuple[str, int, str], list[Work]] = defaultdict(list)
    for work in members:
        value = work.parameters.get(parameter)
        if work.phase == "distill" and isinstance(value, int) and not isinstance(value, bool):
            rest = {name: own for name, own in work.parameters.items() if name != parameter}
            groups[work.method, work.version, canonical_json(rest)].append(work)
    swept = [group for group in groups.values() if len(group) > 1]
    return {_name(group[0], swept, parameter): group for group in swept}


def _name(work: Work, swept: Sequence[Sequence[Work]], parameter: str) -> str:
    """The method, with what tells it from other sweeps of the same method."""
    same = [group[0].parameters for group in swept if group[0].method == work.method]
    changes = [(n, work.parameters.get(n)) for n in varying(same) if n != parameter]
    return named(work.method, work.version, changes)


def _points(swept: dict[str, list[Work]], parameter: str) -> list[Point]:
    """Every figure of the curves, and what papers print for them."""
    ours = [
        point
        for name, group in swept.items()
        for work in group
        for point in _figures(name, work, int(work.parameters[parameter]))
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


def _curves_beside(cost: PrintedCost, swept: dict[str, list[Work]], parameter: str) -> list[str]:
    """The curves that a printed peak belongs to, whatever the value of the parameter."""
    if cost.metric != "peak_memory":
        return []
    return [name for name, group in swept.items() if cost.run.is_of(group[0], free=parameter)]


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
        "bytes": value,
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
    methods = sorted({point["method"] for point in points})
    place = {
        "x": {
            "field": "at",
            "type": "quantitative",
            "title": axis.title,
            "scale": {"type": axis.scale},
            "axis": {"grid": False, "format": "d"},
        },
        "y": {
            "field": "bytes",
            "type": "quantitative",
            "title": "Peak memory",
            "axis": {"labelExpr": "format(datum.value, '~s') + 'B'"},
        },
        "color": {
            "field": "method",
            "type": "nominal",
            "scale": {
                "domain": methods,
                "range": [vega.PALETTE[n % len(vega.PALETTE)] for n in range(len(methods))],
            },
            "legend": {"title": None, "labelLimit": 220},
        },
    }
    tooltip = [
        {"field": field, "type": "nominal", "title": title}
        for field, title in (
            ("method", "Method"),
            ("at", axis.title),
            ("kind", "Kind"),
            ("shown", "Peak memory"),
            ("where", "Where"),
        )
    ]
    dash = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": list(KINDS[:2]), "range": [[1, 0], [6, 3]]},
        "legend": None,
    }
    shape = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": list(KINDS), "range": ["circle", "square", "diamond"]},
        "legend": {"title": None, "orient": "top"},
    }
    layers: list[dict[str, Any]] = [
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
    if limits:
        layers.append(
            {
                "data": {"values": list(limits)},
                "mark": {"type": "rule", "strokeDash": [5, 4], "style": "guide"},
                "encoding": {
                    "y": place["y"],
                    "tooltip": [{"field": "device", "type": "nominal", "title": "Memory of"}],
                },
            }
        )
    return {
        "$schema": vega.SCHEMA,
        "width": "container",
        "height": vega.HEIGHT,
        "layer": layers,
    }
