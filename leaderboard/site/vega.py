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

_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")

Spec = dict[str, Any]
Points = Sequence[dict[str, Any]]


def curves(points: Points, ceilings: Points) -> Spec:
    """Accuracy against the count of a budget: a line a method, a dashed rule a ceiling."""
    counts = sorted({point["count"] for point in points})
    x = {
        "field": "count",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False, "padding": 16},
        "axis": {"values": counts, "title": "Images per class", "grid": False, "format": "d"},
    }
    colour = by_method(points)
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
            "data": {"values": _only(points, "method", "budget", "count", "accuracy", "shown")},
            "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 60, "filled": True}},
            "encoding": {"x": x, "y": accuracy, "color": colour, "tooltip": tooltip},
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


def front(points: Points, field: str, axis: str, ticks: Mapping[float, str]) -> Spec:
    """Accuracy against a cost: a point a method and budget, a line through each Pareto front.

    Args:
        points: with ``front`` true for those on the front of their budget.
        field: the cost.
        axis: its name.
        ticks: labels of the values marked on its axis.
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
                    "values": _only(points, "method", "budget", field, "accuracy", "shown", "cost")
                },
                "mark": {"type": "point", "filled": True, "size": 110, "opacity": 0.9},
                "encoding": place
                | {
                    "color": by_method(points),
                    "shape": shapes("budget", budgets, _cycle(_SHAPES, len(budgets))),
                    "tooltip": tooltip,
                },
            },
        ]
    )


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
            "axis": {"title": None, "labelAngle": -40},
        },
        "y": {"field": "method", "type": "nominal", "axis": {"title": None, "labelLimit": 220}},
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


def scatter(points: Points, truth: str) -> Spec:
    """Accuracy on the distilled set against the ground truth, an axis of this title."""
    return chart(
        data={"values": list(points)},
        mark={"type": "point", "filled": True, "size": 50, "opacity": 0.75},
        encoding={
            "x": _accuracy() | {"field": "truth", "title": truth},
            "y": _accuracy() | {"title": "Accuracy, trained on the distilled set"},
            "color": by_method(points),
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
        "axis": {"format": ".0%"},
    }


def by_method(points: Points) -> Spec:
    """A colour for each method."""
    methods = sorted({point["method"] for point in points})
    return {
        "field": "method",
        "type": "nominal",
        "scale": {"domain": methods, "range": _cycle(PALETTE, len(methods))},
        "legend": {"title": None, "labelLimit": 220},
    }


def _cycle(values: Sequence[str], count: int) -> list[str]:
    return [values[i % len(values)] for i in range(count)]


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
