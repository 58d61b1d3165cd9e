"""Tables and comparisons for the terminal and as plain data."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.statistics import ALPHA
from leaderboard import columns, remarks, wording
from leaderboard.choice import FACETS
from leaderboard.comparisons import CellComparison
from leaderboard.reading import Reading
from leaderboard.rows import Row
from leaderboard.sources import behind, sources
from leaderboard.standings import gaps
from leaderboard.tables import Table, TableKey

if TYPE_CHECKING:
    from rich.table import Table as Grid
    from rich.text import Text

    from leaderboard.studies import Section


PLACE = FACETS | {"protocol": lambda key: f"{key.protocol} v{key.version}"}
"""Where comparisons stand: a column each."""

NARROW = {columns.DEVICE, columns.PROVENANCE, "Labels", "Stored", "Prepare"}
"""Columns that a terminal has no room for."""


def terminal(table: Table) -> Grid:
    """A table narrow enough for a terminal: what its rows have in common stands below it.

    No string of a record reaches the terminal as markup or control code.
    """
    head, body = columns.grid(table.rows, NARROW)
    head, body, shared = _apart(head, body, {columns.ARCHITECTURE, columns.COUNT})
    common = [
        *(f"n = {text}" if name == columns.COUNT else text for name, text in shared.items()),
        columns.devices(table.rows),
    ]
    caption = [", ".join(common), *remarks.below(table), *table.warnings]
    return _grid(place(table.key), head, body, columns.LEFT, caption)


def terminal_studies(told: Iterable[Section]) -> Iterator[Grid | Text]:
    """Protocols' own tables for a terminal, each with its notes below it."""
    from rich.text import Text

    for section in told:
        for study in section.studies:
            left = {column.name for column in study.columns if column.kind == "text"}
            title = f"{section.protocol} v{section.version}, {section.tier} tier: {study.title}"
            yield _grid(title, [column.name for column in study.columns], study.texts(), left)
            yield Text("\n".join(map(wording.line, study.remarks)))


def terminal_comparisons(compared: Sequence[CellComparison]) -> Grid:
    """Comparisons for a terminal, with a verdict each; what all share stands below them."""
    where = [*map(str.capitalize, PLACE), "Architecture"]
    head = [*where, "Difference", "95 % interval", "p", "p (images)", "p (Holm)", "Verdict"]
    body = [
        [
            *(", ".join(dict.fromkeys(map(of, cell.keys))) for of in PLACE.values()),
            cell.a.architecture,
            wording.percent(cell.test.difference),
            wording.difference(cell.test.interval),
            wording.probability(cell.test.p),
            wording.probability(cell.images.p if cell.images else None),
            wording.probability(cell.adjusted_p),
            verdict(cell),
        ]
        for cell in compared
    ]
    head, body, shared = _apart(head, body, where)
    title = f"{compared[0].a.title} minus {compared[0].b.title}, points of accuracy"
    common = "; ".join(f"{name.lower()} {text}" for name, text in shared.items())
    caption = [remarks.family(compared), f"All of {common}." if common else ""]
    return _grid(title, head, body, {*where, "Verdict"}, caption)


def _apart(
    head: Sequence[str], body: Sequence[Sequence[str]], of: Collection[str]
) -> tuple[list[str], list[list[str]], dict[str, str]]:
    """A grid without those columns ``of`` which all rows share, and what these say."""
    said = dict(zip(head, zip(*body, strict=True), strict=True))
    shared = {name: texts[0] for name, texts in said.items() if name in of and len({*texts}) == 1}
    kept = [place for place, name in enumerate(head) if name not in shared]
    return [head[k] for k in kept], [[line[k] for k in kept] for line in body], shared


def _grid(
    title: str,
    head: Sequence[str],
    body: Iterable[Sequence[str]],
    left: Iterable[str],
    caption: Iterable[str] = (),
) -> Grid:
    from rich.table import Table as Grid
    from rich.text import Text

    def text(value: str) -> Text:
        return Text(wording.plain(value))

    grid = Grid(title=text(title), caption=Text("\n").join(map(text, filter(None, caption))))
    for name in head:
        grid.add_column(text(name), justify="left" if name in left else "right", overflow="fold")
    for line in body:
        grid.add_row(*map(text, line))
    return grid


def place(key: TableKey) -> str:
    """A table's title."""
    rules = f"{key.protocol} v{key.version}, {key.tier} tier, {key.track} track"
    return f"{rules}: {key.dataset}, {key.budget}"


def verdict(cell: CellComparison) -> str:
    """What the comparison says, as a sentence."""
    if cell.adjusted_p is None:
        return "One value allows no test: run more seeds."
    better, worse = (cell.a, cell.b) if cell.test.difference > 0 else (cell.b, cell.a)
    points = wording.percent(abs(cell.test.difference))
    if cell.adjusted_p < ALPHA:
        return f"{better.title} is better than {worse.title} by {points} points."
    by_seeds, by_images = cell.test.p, cell.images.p if cell.images else None
    if by_seeds is not None and by_images is not None and by_seeds < ALPHA <= by_images:
        return f"{better.title} is better on these test images; others might tell otherwise."
    return f"No significant difference with {len(cell.a.values)} and {len(cell.b.values)} values."


def data(found: Iterable[Table], reading: Reading | None = None) -> list[dict[str, Any]]:
    """Tables as JSON-able values: fractions, seconds and bytes, unrounded.

    One object a table: ``protocol``, ``version``, ``protocol_hash``, ``tier``, ``track``,
    ``dataset``, ``checksum``, ``budget`` (``kind`` and ``count``), ``smallest_gaps`` by
    architecture, ``warnings`` and ``rows``, as :class:`leaderboard.rows.Row` describes them, with
    ``parameters``, ``recipe``, ``devices`` and ``distilled_on`` instead of the records. Of a
    ``reading``, ``sources`` say where its records come from.
    """
    return [
        asdict(table.key)
        | _sources(table, reading)
        | {
            "smallest_gaps": gaps(table),
            "warnings": list(table.warnings),
            "rows": [_row(row) for row in table.rows],
        }
        for table in found
    ]


def _sources(table: Table, reading: Reading | None) -> dict[str, Any]:
    return {"sources": asdict(sources(behind([table]), reading))} if reading else {}


def _row(row: Row) -> dict[str, Any]:
    return {
        "method": row.method,
        "changes": dict(row.changes),
        "parameters": dict(row.parameters),
        "architecture": row.architecture,
        "network": row.network,
        "ceiling": row.ceiling,
        "rank": row.rank,
        "seeds": list(row.seeds),
        "values": list(row.values),
        **_optional(summary=row.summary),
        "labels": list(row.labels),
        "stored_bytes": row.stored_bytes,
        **_optional(prepare=row.prepare, distill=row.distill, evaluate=row.evaluate),
        "mishaps": [asdict(end) for end in row.mishaps],
        "provenance": asdict(row.provenance),
        "devices": list(row.devices),
        "distilled_on": list(row.distilled_on),
        "recipe": dict(row.recipe),
        "trials": [record.id for record in row.records],
    }


def study_data(told: Iterable[Section]) -> list[dict[str, Any]]:
    """Protocols' own tables as JSON-able values: of each where it belongs, and its cells."""
    return [
        {
            "protocol": section.protocol,
            "version": section.version,
            "protocol_hash": section.protocol_hash,
            "tier": section.tier,
            "dataset": section.dataset,
            "checksum": section.checksum,
            **study.as_dict(),
        }
        for section in told
        for study in section.studies
    ]


def _optional(**parts: Any) -> dict[str, Any]:
    return {name: None if part is None else asdict(part) for name, part in parts.items()}


def comparison_data(compared: Iterable[CellComparison], reading: Reading) -> list[dict[str, Any]]:
    """Comparisons as JSON-able values: fractions, unrounded."""
    return [
        asdict(cell.key)
        | {
            "also_in": [asdict(key) for key in cell.keys[1:]],
            "architecture": cell.a.architecture,
            "a": cell.a.title,
            "b": cell.b.title,
            "n": [len(cell.a.values), len(cell.b.values)],
            **asdict(cell.test),
            **_optional(images=cell.images),
            "adjusted_p": cell.adjusted_p,
            "family": cell.family,
            "verdict": verdict(cell),
            "sources": asdict(sources(cell.records, reading)),
        }
        for cell in compared
    ]
