"""What a run has found, as tables and as plain data: each cell's accuracy, then the studies.

Tables are made of whatever records there are, so that a run can show how far it has come.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bench.files import canonical_json
from bench.records import Record
from bench.runner import failures
from bench.statistics import cut, is_cut, summarize
from bench.studies import CUT, Estimate, Study, accuracies, counted, mishaps, text, variant

if TYPE_CHECKING:
    from bench.runner import Plan

WIDTH = 160
"""Characters of a line where there is no terminal to fill."""

MOST_CELLS = 60
"""A longer list of cells is left out where studies sum it up."""


def console(*, stderr: bool = False) -> Console:
    """A console that does not squeeze tables into the 80 columns of a pipe."""
    found = Console(stderr=stderr)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = WIDTH
    return found


def studies(plan: Plan, records: Sequence[Record]) -> list[Study]:
    """The protocol's own tables, for each dataset as it was read."""
    datasets: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        datasets[record.trial.dataset, record.dataset.checksum].append(record)
    return [study for _, found in sorted(datasets.items()) for study in plan.rules.studies(found)]


def as_dict(plan: Plan, records: Sequence[Record], ran: int) -> dict[str, Any]:
    """Everything for JSON: what was done now, the records and the studies."""
    return {
        "ran": ran,
        "cached": len(plan.done),
        "mishaps": list(mishaps(records)),
        "records": [record.model_dump(mode="json", by_alias=True) for record in records],
        "studies": [study.as_dict() for study in studies(plan, records)],
    }


def show(plan: Plan, records: Sequence[Record], ran: int) -> None:
    """Print every table, what went wrong, and what was done now."""
    out = console()
    for table in tables(plan, records):
        out.print(table)
    noted = {note for study in studies(plan, records) for note in study.notes}
    for mishap in mishaps(records):
        if mishap not in noted:
            out.print(Text(mishap))
    out.print(Text(f"{_ending(plan, records, ran)} Records: {plan.options.store / 'records'}"))


def _ending(plan: Plan, records: Sequence[Record], ran: int) -> str:
    """How many trials were run now and before, and how many of all went wrong."""
    now = f"{counted(ran, 'trial')} run now" if ran else "Nothing was left to do"
    before = len(plan.done)
    parts = [now, f"{before} {'was' if before == 1 else 'were'} recorded before"]
    if plan.shared:
        shared = len(plan.shared)
        parts[1] += f", {shared} {'shares' if shared == 1 else 'share'} a student that was"
    wrong = len(failures(records))
    if wrong:
        parts.append(f"{wrong} of {counted(len(records), 'trial')} went wrong")
    return f"{'; '.join(parts)}."


def unpublishable(records: Sequence[Record]) -> str:
    """Why results among these cannot be published for their commit; ``""`` if they can."""
    results = [record for record in records if record.trial.split == "test"]
    unfit = [entry.environment for entry in results if not entry.environment.committed]
    if not unfit:
        return ""
    why = "their code had uncommitted changes"
    if not all(where.commit for where in unfit):
        why = "their installation knows no commit; `pip install -e .` in a git checkout does"
    return f"{len(unfit)} of {counted(len(records), 'record')} cannot be published: {why}."


def tables(plan: Plan, records: Sequence[Record]) -> list[RenderableType]:
    """The cells' accuracies and the studies; a very long list of cells only without studies."""
    found = _studies(plan, records)
    cells = _cells(records)
    if found and len(cells) > MOST_CELLS:
        return found
    return [*_cell_parts(_title(plan), cells), *found]


def interim(plan: Plan, records: Sequence[Record]) -> list[RenderableType]:
    """The studies so far; the cells' accuracies of a protocol that has none."""
    return _studies(plan, records) or _cell_parts(_title(plan), _cells(records))


def _studies(plan: Plan, records: Sequence[Record]) -> list[RenderableType]:
    return [part for study in studies(plan, records) for part in (_table(study), _notes(study))]


def _table(study: Study) -> Table:
    """A study for the terminal; no text of a record reaches it as markup."""
    table = Table(title=escape(study.title))
    for column in study.columns:
        text_ = column.kind == "text"
        table.add_column(escape(column.name), justify="left" if text_ else "right", overflow="fold")
    for row in study.texts():
        table.add_row(*map(escape, row))
    return table


def _notes(study: Study) -> Text:
    """Below the table rather than its caption, which would be as narrow as the table."""
    return Text("\n".join(study.remarks))


def _title(plan: Plan) -> str:
    held_out = ", validation split" if plan.options.split == "validation" else ""
    return f"{plan.rules.name} v{plan.rules.version}, {plan.rules.tier} tier{held_out}"


Place = tuple[tuple[str, str], ...]
"""Where a cell stands: the heads of its columns, each with what it says."""


def _cells(records: Sequence[Record]) -> dict[Place, list[Record]]:
    """Records by cell; a coordinate that all of them share is left out, unless it is usual."""
    records = sorted(records, key=_order)
    recipes = _recipes(records)
    places = [(*_coordinates(record), ("recipe", recipes[record.id])) for record in records]
    said: dict[str, set[str]] = defaultdict(set)
    for head, text_ in (entry for place in places for entry in place):
        said[head].add(text_)
    shown = {head for head, texts in said.items() if head in USUAL or len(texts) > 1}
    cells: dict[Place, list[Record]] = defaultdict(list)
    for place, record in zip(places, records, strict=True):
        cells[tuple(entry for entry in place if entry[0] in shown)].append(record)
    return cells


def _order(record: Record) -> tuple[object, ...]:
    where = record.trial
    cell = (where.dataset, where.budget, variant(record), where.network, where.architecture)
    return (*cell, where.track, where.merged_seeds)


USUAL = ("dataset", "budget", "method", "track")


def _coordinates(record: Record) -> Place:
    """Everything but seeds and recipe that may tell two cells apart."""
    where = record.trial
    return (
        ("dataset", where.dataset),
        ("checksum", record.dataset.checksum[:8]),
        ("budget", str(where.budget)),
        ("distilled for", str(where.distilled_for or where.budget)),
        ("sets merged", str(1 + len(where.merged_seeds))),
        ("method", variant(record)),
        ("distilled with", where.network),
        ("student", where.architecture),
        ("track", where.track),
    )


def _recipes(records: Sequence[Record]) -> dict[str, str]:
    """By trial, what sets its recipe apart from others of the same cell; mostly nothing."""
    cells: dict[Place, list[Record]] = defaultdict(list)
    for record in records:
        cells[_coordinates(record)].append(record)
    return {
        record.id: ", ".join(_differences(record, members))
        for members in cells.values()
        for record in members
    }


def _differences(record: Record, others: Sequence[Record]) -> Iterator[str]:
    for key in sorted({key for other in others for key in other.recipe}):
        if len({canonical_json({key: other.recipe.get(key)}) for other in others}) > 1:
            value = record.recipe.get(key)
            if value is not None:  # left out at its default
                yield f"{key} {value}"


def _cell_parts(title: str, cells: dict[Place, list[Record]]) -> list[RenderableType]:
    """The table, and what its intervals do not show."""
    samples = [values for members in cells.values() if (values := accuracies(members))]
    bounds = [summarize(values).interval for values in samples]
    return [_cell_table(title, cells), *([Text(CUT)] if any(map(is_cut, bounds)) else [])]


def _cell_table(title: str, cells: dict[Place, list[Record]]) -> Table:
    heads = [head for head, _ in next(iter(cells), ())] or list(USUAL)
    table = Table(title=escape(title))
    for head in heads:
        table.add_column(head, overflow="fold")
    table.add_column("accuracy %", justify="right")
    table.add_column("95 % interval")
    table.add_column("n", justify="right")
    for place, members in cells.items():
        table.add_row(*(escape(said) for _, said in place), *_figures(accuracies(members)))
    return table


def _figures(values: Sequence[float]) -> tuple[str, str, str]:
    """Mean ± deviation, interval, how many."""
    if not values:
        return "-", "", "0"
    found = summarize(values)
    interval = found.interval
    ends = ", ".join(text(end, "percent") for end in cut(interval)) if interval else ""
    between = escape(f"[{ends}]") if interval else ""
    figures = Estimate(value=found.mean, std=found.std, n=found.n)  # its interval has a column
    return text(figures, "percent"), between, str(found.n)
