"""Charts of a board: what each shows as data, as a Vega-Lite specification and as a table.

A chart is drawn only where its data exist: one budget makes no curve, one architecture no transfer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.specs import Budget
from bench.studies import GroundTruth
from leaderboard import wording
from leaderboard.rows import Phase, Row
from leaderboard.site import links, vega
from leaderboard.site.boards import Board
from leaderboard.tables import FULL, Table
from leaderboard.truths import ground_truth

SHORTEST_SECONDS = 0.001
SMALLEST_BYTES = 1000
"""Costs below these are drawn there: a logarithm has no zero."""

SECONDS_TICKS = (0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 36_000, 360_000)
BYTES_TICKS = tuple(10**power for power in range(3, 14))

BUDGET_AXES = {"ipc": "Images per class", "inpc": "Generated images per class and epoch"}
"""What the budgets of a kind count; kinds share no axis."""

PRESETS_ALONE = " Rows with changed settings stand in the tables alone."

SEARCH_SPACE = "nas201"
"""Names of architectures of NAS-Bench-201 begin so."""

Point = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart.

    Attributes:
        id: its anchor.
        title: what it shows, in a few words.
        caption: how to read it.
        spec: Vega-Lite, with its data.
        head: column names of the table that says the same.
        body: the table's cells.
    """

    id: str
    title: str
    caption: str
    spec: dict[str, Any]
    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]


def charts(board: Board) -> list[Chart]:
    """Every chart that the board's rows fill."""
    drawn = [
        *_budget_curves(board),
        _time_front(board),
        _memory_front(board),
        *_heat_maps(board),
        _rank_scatter(board),
    ]
    return [chart for chart in drawn if chart]


def _drawn(board: Board) -> list[tuple[Table, Row]]:
    """Rows with a result that charts show: presets; all rows of methods that have none here."""
    found = [(table, row) for table, row in board.rows if row.summary]
    with_preset = {row.method for _, row in found if not row.changes}
    return [
        (table, row) for table, row in found if not row.changes or row.method not in with_preset
    ]


def _left_out(board: Board) -> str:
    """What to say where rows are not drawn."""
    drawn = {id(row) for _, row in _drawn(board)}
    left = (
        row for _, row in board.rows if row.summary and not row.ceiling and id(row) not in drawn
    )
    return PRESETS_ALONE if any(left) else ""


def _names(board: Board) -> list[str]:
    """Everything that competes in any chart of the board, by name."""
    return sorted({wording.plain(row.title) for _, row in _drawn(board) if not row.ceiling})


def _measured(board: Board, *, ceilings: bool = False) -> list[Point]:
    """What is drawn of students of the network that their set was distilled with."""
    return [
        _point(FULL if row.ceiling else table.key.budget, row)
        for table, row in _drawn(board)
        if row.ceiling == ceilings and row.architecture == row.network
    ]


def _point(budget: Budget, row: Row) -> Point:
    assert row.summary is not None
    low, high = row.summary.interval or (row.summary.mean, row.summary.mean)
    return {
        "method": wording.plain(row.title),
        "budget": str(budget),
        "kind": budget.kind,
        "count": budget.count,
        "accuracy": row.summary.mean,
        "low": max(0.0, low),
        "high": min(1.0, high),
        "shown": wording.accuracy(row.summary),
        "seconds": max(SHORTEST_SECONDS, _total(row, lambda phase: phase.seconds)),
        "bytes": max(SMALLEST_BYTES, _peak(row)),
    }


def _phases(row: Row) -> list[Phase]:
    return [phase for phase in (row.prepare, row.distill) if phase]


def _total(row: Row, what: Callable[[Phase], float]) -> float:
    return sum(map(what, _phases(row)))


def _peak(row: Row) -> int:
    return max((phase.peak_bytes for phase in _phases(row)), default=0)


def _budget_curves(board: Board) -> Iterator[Chart]:
    """One a kind of budget with two counts."""
    ceilings = _measured(board, ceilings=True)
    for kind, axis in BUDGET_AXES.items():
        points = [point for point in _measured(board) if point["kind"] == kind]
        if len({point["count"] for point in points}) < 2:
            continue
        yield Chart(
            id=links.anchor("budget-chart", board.id, kind),
            title=f"Accuracy against {axis.lower()}",
            caption="Mean over trials, on a logarithmic scale of budgets; bars are 95 % intervals "
            "of the mean. Dashed: ceilings, trained on the whole training set."
            f"{_left_out(board)}",
            spec=vega.curves(points, ceilings, axis, _names(board)),
            head=("Method", "Budget", "Accuracy %"),
            body=_texts([*points, *ceilings], ("method", "budget", "shown")),
        )


def _time_front(board: Board) -> Chart | None:
    return _front(
        board,
        field="seconds",
        kind="time",
        axis="Time to prepare and distil",
        ticks=SECONDS_TICKS,
        text=wording.seconds,
    )


def _memory_front(board: Board) -> Chart | None:
    return _front(
        board,
        field="bytes",
        kind="memory",
        axis="Peak memory while preparing and distilling",
        ticks=BYTES_TICKS,
        text=wording.size,
    )


def _front(
    board: Board,
    *,
    field: str,
    kind: str,
    axis: str,
    ticks: Iterable[float],
    text: Callable[[Any], str],
) -> Chart | None:
    points = [point | {"cost": text(point[field])} for point in _measured(board)]
    if len({point["method"] for point in points}) < 2:
        return None
    best = {id(point) for point in pareto_front(points, field)}
    marked = [point | {"front": id(point) in best} for point in points]
    timed = {device for _, row in board.rows for device in row.distilled_on or row.devices}
    remark = "" if len(timed) == 1 else " Devices differ between points: see the table."
    remarks = f"{_generated(points)}{remark}{_left_out(board)}"
    return Chart(
        id=links.anchor(f"{kind}-chart", board.id),
        title=f"Accuracy against {kind}",
        caption=f"{axis}, on a logarithmic scale. The line is the Pareto front of a budget: no "
        f"other method is at once cheaper and better.{remarks}",
        spec=vega.front(
            marked, field, axis, {value: text(value) for value in ticks}, _names(board)
        ),
        head=("Method", "Budget", "Accuracy %", kind.capitalize(), "On the front"),
        body=_texts(
            [point | {"on": "yes" if point["front"] else "no"} for point in marked],
            ("method", "budget", "shown", "cost", "on"),
        ),
    )


def _generated(points: Iterable[Point]) -> str:
    """Whose budgets count generated images, where others count stored ones."""
    kinds: dict[str, dict[str, None]] = defaultdict(dict)
    for point in points:
        kinds[point["kind"]][point["method"]] = None
    if len(kinds) < 2:
        return ""
    return f" Budgets count generated images for {', '.join(kinds['inpc'])}."


def pareto_front(points: Iterable[Point], cost: str) -> list[Point]:
    """Of each budget the points that no other point beats in accuracy at the same or lower cost.

    Equal points stand or fall together.
    """
    by_budget: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        by_budget[point["budget"]].append(point)
    front = []
    for members in by_budget.values():
        members.sort(key=lambda point: (point[cost], -point["accuracy"]))
        best: Point | None = None
        for point in members:
            ties = best and (point[cost], point["accuracy"]) == (best[cost], best["accuracy"])
            if best is None or point["accuracy"] > best["accuracy"] or ties:
                front.append(point)
                best = point
    return front


def _heat_maps(board: Board) -> Iterator[Chart]:
    """One a budget whose sets were given to several architectures."""
    drawn = {id(row) for _, row in _drawn(board)}
    for sheet in board.sheets:
        rows = [
            row
            for row in sheet.table.rows
            if row.summary and (row.ceiling or id(row) in drawn) and not _searched(row.architecture)
        ]
        cells = [
            {
                "method": wording.plain(row.title),
                "architecture": wording.plain(row.architecture),
                "accuracy": row.summary.mean if row.summary else 0.0,
                "shown": wording.accuracy(row.summary),
                "short": wording.percent(row.summary.mean) if row.summary else "",
            }
            for row in rows
        ]
        if len({cell["architecture"] for cell in cells}) > 1:
            yield _heat_map(board, str(sheet.table.key.budget), cells)


def _heat_map(board: Board, budget: str, cells: Sequence[Point]) -> Chart:
    return Chart(
        id=links.anchor("transfer-chart", board.id, budget),
        title=f"Transfer, {budget}",
        caption="Accuracy in percent of students of other architectures, trained on what each "
        f"method distilled with its own network.{_left_out(board)}",
        spec=vega.heat_map(cells),
        head=("Method", "Architecture", "Accuracy %"),
        body=_texts(cells, ("method", "architecture", "shown")),
    )


def _rank_scatter(board: Board) -> Chart | None:
    truth = _truth(board)
    points = rank_points(board, truth) if truth else []
    if not truth or not points:
        return None
    return Chart(
        id=links.anchor("nas-chart", board.id),
        title="Architecture search",
        caption="Each point is an architecture of NAS-Bench-201: its accuracy trained on the "
        f"distilled set against its ground truth, {truth.title}.",
        spec=vega.scatter(points, truth.title, _names(board)),
        head=("Method", "Budget", "Architecture", "Distilled %", "Ground truth %"),
        body=_texts(points, ("method", "budget", "architecture", "shown", "truth_shown")),
    )


def _truth(board: Board) -> GroundTruth | None:
    return ground_truth([record for _, row in board.rows for record in row.records])


def rank_points(board: Board, truth: GroundTruth) -> list[Point]:
    """Architectures whose ground truth is known, with their accuracy on each distilled set."""
    return [
        {
            "method": wording.plain(row.title),
            "budget": str(table.key.budget),
            "architecture": wording.plain(row.architecture),
            "accuracy": row.summary.mean,
            "truth": truth.accuracies[row.architecture],
            "shown": wording.percent(row.summary.mean),
            "truth_shown": wording.percent(truth.accuracies[row.architecture]),
        }
        for table, row in _drawn(board)
        if row.architecture in truth.accuracies and row.summary and not row.ceiling
    ]


def _searched(architecture: str) -> bool:
    return architecture.startswith(SEARCH_SPACE)


def _texts(points: Iterable[Point], fields: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(str(point[field]) for field in fields) for point in points)
