"""Sentences below a table: what it cannot show, and what several tables say together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from bench.statistics import is_cut
from bench.studies import CUT, unequal
from leaderboard import wording
from leaderboard.comparisons import CellComparison
from leaderboard.rows import Row
from leaderboard.standings import Standings, gaps
from leaderboard.tables import Table


def below(table: Table) -> list[str]:
    """What a table cannot show, and what it does not show although it was computed."""
    said = (smallest_gap(table), cut_intervals(table), uneven_machines(table))
    return [text for text in said if text]


def cut_intervals(table: Table) -> str:
    """That intervals are cut, where some are; else ``""``."""
    bounds = [row.summary.interval for row in table.rows if row.summary]
    return CUT if any(map(is_cut, bounds)) else ""


def smallest_gap(table: Table) -> str:
    """How small a difference the table can show, in points; ``""`` where that is not known."""
    found = gaps(table)
    return f"Smallest gap that these seeds can show: {_points(found)}." if found else ""


def _points(found: Mapping[str, float]) -> str:
    if len(found) == 1:
        return "".join(f"{wording.percent(gap)} points" for gap in found.values())
    return ", ".join(f"{wording.percent(gap)} points on {name}" for name, gap in found.items())


def uneven_machines(table: Table) -> str:
    """How unequal the machines were that times come from; ``""`` where they were not."""
    told = unequal(kernel for row in table.rows for kernel in _kernels(row))
    return f"Times are of unequal or unequally loaded machines: {told}" if told else ""


def _kernels(row: Row) -> Iterator[tuple[float, str]]:
    """Median of the calibration kernel where a row was distilled and where its students ran."""
    good = [record for record in row.records if record.status == "ok"]
    ran = [record.environment for record in good]
    made = [place for record in good for place in record.cost.distilled_on] or ran
    if ran:
        yield median(each.calibration_seconds for each in ran), f"beside students of {row.title}"
    if made and row.distill and not row.ceiling:
        when = f"when {row.title} was distilled"
        yield median(each.calibration_seconds for each in made), when


def family(compared: Sequence[CellComparison]) -> str:
    """How many comparisons there are, and how many tests were corrected together."""
    count, tests = len(compared), compared[0].family
    pairs = "One pair of samples" if count == 1 else f"{count} different pairs of samples"
    return (
        f"{pairs}; p (Holm) is corrected for a family of {tests}. "
        f"Each 95 % interval is of its pair alone, not corrected for the family."
    )


def standing(overall: Standings) -> str:
    """Average ranks and Borda points over the cells that all methods share."""
    kind = f"{overall.budget_kind} budgets"
    if not overall.cells:
        return (
            f"No average rank over {kind}: none of the {overall.all_cells} cells is filled by "
            f"every method."
        )
    return (
        f"Average rank over the {overall.cells} of {overall.all_cells} cells ({kind}) that every "
        f"method fills, Borda points in parentheses: {_places(overall)}."
    )


def _places(overall: Standings) -> str:
    entries: Iterable[str] = (
        f"{entry.method} {entry.average_rank:.1f} ({entry.borda:g})" for entry in overall.methods
    )
    return ", ".join(entries)
