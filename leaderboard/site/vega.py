"""Vega-Lite specifications: marks, scales and tooltips for each kind of chart.

Colours of text, axes and background come from the page's theme; those of methods stand here, so
that a method keeps its colour in both themes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"

PALETTE = (
    "#4e79a7",
    "#f28e2b",
    "#59a14f",
    "#e15759",
    "#b07aa1",
    "#2fa5a0",
    "#c9a227",
    "#e377a8",
    "#9c755f",
    "#6b9bd1",
    "#d37295",
    "#7f8fa6",
)
"""Readable on white and on near-black."""

HEIGHT = 320
CELL_HEIGHT = 30
"""In pixels: of a plot, and of a heat map's cell."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")
"""As many as share no divisor with the palette's colours: pairs of the two repeat after 60."""

SMALLEST_POINT = 60
POINT_STEP = 80
"""In square pixels: the point of the smallest budget, and what each larger one adds."""

Spec = dict[str, Any]
Points = Sequence[dict[str, Any]]


def curves(points: Points, ceilings: Points, axis: str, among: Sequence[str]) -> Spec:
    """Accuracy against the count of a budget: a line a method, a dashed rule a ceiling.

    Args:
        points: of one kind of budget.
        ceilings: the ceilings.
        axis: what the budget counts.
        among: every method of the board, so that each keeps its look in all charts.
    """
    counts = sorted({point["count"] for point in points})
    x = {
        "field": "count",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False, "padding": 16},
        "axis": {"values": counts, "title": axis, "grid": False, "format": "d"},
    }
    colour = by_method(points, among)
    accuracy = _accuracy()
    tooltip = tooltips(method="Method", budget="Budget", shown="Accuracy %")
    layers: list[Spec] = [
        {
            "data": {"values": _only(points, "method", "count", "low", "high")},
            "mark": {"type": "rule", "opacity": 0.55, "aria": False},
            "encoding": {
                "x": x,
                "y": accuracy | {"field": "low"},
                "y2": {"field": "high"},
                "color": colour,
            },
        },
        {
            "data": {"values": _only(points, "method", "count", "accuracy")},
            "mark": {"type": "line", "strokeWidth": 2, "aria": False},
            "encoding": {"x": x, "y": accuracy, "color": colour},
        },
        {
            "data": {"values": _only(points, "method", "budget", "count", "accuracy", "shown")},
            "mark": {"type": "point", "size": 60, "filled": True, "opacity": 1},
            "encoding": {"x": x, "y": accuracy, "tooltip": tooltip} | looks(points, among),
        },
    ]
    if ceilings:
        layers.append(
            {
                "data": {"values": _only(ceilings, "method", "budget", "accuracy", "shown")},
                "mark": {"type": "rule", "strokeDash": [5, 4], "style": "guide"},
                "encoding": {"y": accuracy, "tooltip": tooltip},
            }
        )
    return chart(layer=layers)


def front(
    points: Points, field: str, axis: str, ticks: Mapping[float, str], among: Sequence[str]
) -> Spec:
    """Accuracy against a cost: a point a method and budget, a line through each Pareto front.

    Args:
        points: with ``front`` true for those on the front of their budget.
        field: the cost.
        axis: its name.
        ticks: labels of the values marked on its axis.
        among: every method of the board.
    """
    budgets = list(dict.fromkeys(point["budget"] for point in points))
    best = [point for point in points if point["front"]]
    best.sort(key=lambda point: (budgets.index(point["budget"]), point[field]))
    place = {"x": _ticked(field, axis, ticks), "y": _accuracy()}
    tooltip = tooltips(method="Method", budget="Budget", shown="Accuracy %", cost="Cost")
    line = {"type": "line", "interpolate": "step-after", "style": "guide", "aria": False}
    return chart(
        layer=[
            {
                "data": {"values": _only(best, "budget", field, "accuracy")},
                "mark": line,
                "encoding": place | {"detail": {"field": "budget", "type": "nominal"}},
            },
            {
                "data": {
                    "values": _only(
                        points, "method", "budget", "count", field, "accuracy", "shown", "cost"
                    )
                },
                "mark": {"type": "point", "filled": True, "opacity": 0.85},
                "encoding": place
                | looks(points, among)
                | {"size": _by_budget(points), "tooltip": tooltip},
            },
        ]
    )


def _by_budget(points: Points) -> Spec:
    """Larger points for larger budgets of either kind, with a legend above the plot."""
    counts = sorted({point["count"] for point in points})
    largest = SMALLEST_POINT + POINT_STEP * (len(counts) - 1)
    if len(counts) == 1:
        return {"value": largest}
    return {
        "field": "count",
        "type": "quantitative",
        "scale": {
            "type": "log",
            "domain": [counts[0], counts[-1]],
            "range": [SMALLEST_POINT, largest],
        },
        "legend": {
            "title": "Budget",
            "orient": "top",
            "columns": len(counts),
            "values": counts,
            "format": "d",
        },
    }


def _ticked(field: str, axis: str, ticks: Mapping[float, str]) -> Spec:
    """A logarithmic x axis with a text at each of the given values."""
    values, texts = json.dumps(list(ticks)), json.dumps(list(ticks.values()))
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"type": "log", "nice": False, "padding": 16},
        "axis": {
            "title": axis,
            "values": list(ticks),
            "labelExpr": f"{texts}[indexof({values}, datum.value)]",
            "grid": False,
        },
    }


def heat_map(cells: Points) -> Spec:
    """Methods down, architectures across; the number stands in each cell."""
    middle = (min(c["accuracy"] for c in cells) + max(c["accuracy"] for c in cells)) / 2
    place = {
        "x": {
            "field": "architecture",
            "type": "nominal",
            "axis": {"title": None, "labelAngle": -40, "labelOverlap": False},
        },
        "y": {
            "field": "method",
            "type": "nominal",
            "axis": {"title": None, "labelLimit": 220, "labelOverlap": False},
        },
    }
    shade = {
        "field": "accuracy",
        "type": "quantitative",
        "scale": {"scheme": "viridis"},
        "legend": None,
    }
    tooltip = tooltips(method="Method", architecture="Architecture", shown="Accuracy %")
    dark = {"test": f"datum['accuracy'] > {middle!r}", "value": "#111111"}
    ink = {"condition": dark, "value": "#ffffff"}
    return chart(
        height=CELL_HEIGHT * len({cell["method"] for cell in cells}),
        data={"values": _only(cells, "method", "architecture", "accuracy", "shown", "short")},
        layer=[
            {
                "mark": {"type": "rect"},
                "encoding": place | {"color": shade, "tooltip": tooltip},
            },
            {
                "mark": {"type": "text", "aria": False},
                "encoding": place | {"text": {"field": "short"}, "color": ink},
            },
        ],
    )


def scatter(points: Points, truth: str, among: Sequence[str]) -> Spec:
    """Accuracy on the distilled set against the ground truth, which comes from ``truth``."""
    return chart(
        data={"values": list(points)},
        mark={"type": "point", "filled": True, "size": 50, "opacity": 0.75},
        encoding={
            "x": _accuracy() | {"field": "truth", "title": ["Ground truth:", truth]},
            "y": _accuracy() | {"title": "Accuracy, trained on the distilled set"},
            **looks(points, among),
            "tooltip": tooltips(
                method="Method",
                budget="Budget",
                architecture="Architecture",
                shown="Distilled %",
                truth_shown="Ground truth %",
            ),
        },
    )


def chart(**parts: Any) -> Spec:
    """A chart as wide as its place on the page, of these parts."""
    size = {"width": "container", "height": HEIGHT}
    return {"$schema": SCHEMA, **size, **parts}


def _accuracy() -> Spec:
    return {
        "field": "accuracy",
        "type": "quantitative",
        "title": "Accuracy",
        "scale": {"zero": False},
        "axis": {"format": ".1~%", "tickCount": 8},
    }


def by_method(points: Points, among: Sequence[str] = ()) -> Spec:
    """A colour for each method; the same one wherever methods are ``among`` the same others."""
    return _method(points, among, PALETTE)


def looks(points: Points, among: Sequence[str] = ()) -> Spec:
    """A colour and a shape for each method, for eyes and prints that tell few colours apart."""
    return {"color": by_method(points, among), "shape": _method(points, among, SHAPES)}


def _method(points: Points, among: Sequence[str], values: Sequence[str]) -> Spec:
    """One of the values for each method, in turn."""
    methods = sorted({point["method"] for point in points})
    places = {name: place for place, name in enumerate(among or methods)}
    return {
        "field": "method",
        "type": "nominal",
        "scale": {
            "domain": methods,
            "range": [values[places[name] % len(values)] for name in methods],
        },
        "legend": {"title": None, "labelLimit": 300, "symbolLimit": 0},
    }


def shapes(field: str, values: Sequence[str], range_: Sequence[str]) -> Spec:
    """A shape for each value of a field, with a legend above the plot."""
    return {
        "field": field,
        "type": "nominal",
        "sort": None,
        "scale": {"domain": list(values), "range": list(range_)},
        "legend": {"title": None, "orient": "top"},
    }


def tooltips(**fields: str) -> list[Spec]:
    """What a tooltip shows: fields with their titles."""
    return [{"field": field, "type": "nominal", "title": title} for field, title in fields.items()]


def _only(points: Iterable[dict[str, Any]], *fields: str) -> list[dict[str, Any]]:
    return [{field: point[field] for field in fields} for point in points]
