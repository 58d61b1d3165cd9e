"""The memory curves of a sweep as a picture: peak memory over the swept parameter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.errors import InvalidValue
from bench.profiling.records import ProfileRecord
from bench.profiling.subject import BUDGET

FORMATS = ("png", "svg", "pdf")


def check(path: Path, values: Iterable[object]) -> None:
    """Whether a curve over ``values`` can be drawn to ``path``.

    Raises:
        InvalidValue: another kind of file, something else than numbers, or the library that draws
            is not installed.
    """
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidValue(f"--plot draws a curve over numbers, and {value!r} is none.")
    if path.suffix.removeprefix(".") not in FORMATS:
        raise InvalidValue(f"{path} is no picture; give a name that ends in {', '.join(FORMATS)}.")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise InvalidValue(
            "Pictures are drawn by matplotlib, which is not installed: `pip install matplotlib`."
        ) from error


def draw(
    path: Path, rows: Iterable[ProfileRecord], key: str, capacities: Mapping[str, int]
) -> None:
    """Draw one curve for each method and kind of figure; devices' capacities are dashed lines.

    Args:
        path: where to; its ending decides the format.
        rows: the records of a sweep.
        key: the swept parameter.
        capacities: bytes that a peak may have on each device.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for name, points in _curves(rows, key).items():
        axes.plot(*zip(*sorted(points.items()), strict=True), marker="o", label=name)
    for name, limit in capacities.items():
        axes.axhline(limit / 2**30, linestyle="--", linewidth=1, color="grey")
        axes.annotate(
            name, (1, limit / 2**30), xycoords=("axes fraction", "data"), ha="right", va="bottom"
        )
    axes.set_xlabel(key)
    axes.set_ylabel("peak memory of a distill step (GiB)")
    axes.set_ylim(bottom=0)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    # no date in the file: equal figures make equal pictures
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def swept_value(row: ProfileRecord, key: str) -> float:
    """The value of the swept parameter in a record."""
    return float(row.budget.count if key == BUDGET else row.parameters[key])


def _curves(rows: Iterable[ProfileRecord], key: str) -> dict[str, dict[float, float]]:
    """For each curve its points: value of the parameter, GiB."""
    found: dict[str, dict[float, float]] = defaultdict(dict)
    for row in rows:
        if row.phase == "distill" and row.peak_bytes is not None:
            curve = found[f"{row.method}, {row.dataset}, {row.kind}"]
            curve[swept_value(row, key)] = row.peak_bytes / 2**30
    return found
