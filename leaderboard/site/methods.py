"""What the page of a method says: its card, its results, the commands and every record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench import cards
from bench.errors import BenchError
from bench.files import canonical_json
from bench.recipes import LEFT_OUT
from bench.records import Record
from leaderboard import reproduce, wording
from leaderboard.rows import Row
from leaderboard.site import links
from leaderboard.site.boards import Board, rules_title
from leaderboard.tables import Table


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row of a method, with its table's anchor and the command that produces it again."""

    table: Table
    sheet: str
    row: Row
    command: str
    remarks: tuple[str, ...]

    @property
    def place(self) -> str:
        """``ipc-grid v1, quick tier, standard track: digits, ipc 1``."""
        key = self.table.key
        budget = "full" if self.row.ceiling else key.budget
        return f"{rules_title(key)}: {key.dataset}, {budget}"


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """One command, with everything that it brings back.

    Attributes:
        command: ``bench run ...``.
        places: the tables of its rows.
        remarks: what the command does not say of them.
    """

    command: str
    places: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One record.

    Attributes:
        record: what it states.
        line: which line of the method's file it is.
        recipe: how its student was trained, in a few words.
        counts: ``yes`` where a table counts it; else why none does: ``superseded`` by a newer one,
            of the ``validation`` split, or its trial is ``repeated`` by another.
    """

    record: Record
    line: int
    recipe: str
    counts: str


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method with records.

    Attributes:
        name: its name.
        card: what is known of it; ``None`` where it is not installed here.
        missing: why there is no card.
        results: its rows.
        entries: its records, in the order of the lines of its file.
    """

    name: str
    card: cards.Card | None
    missing: str
    results: tuple[Result, ...]
    entries: tuple[Entry, ...]

    @property
    def reproductions(self) -> list[Reproduction]:
        """Each command once: it fills every row of a protocol that differs by the rules alone."""
        groups: dict[str, list[Result]] = {}
        for result in self.results:
            groups.setdefault(result.command, []).append(result)
        return [
            Reproduction(
                command=command,
                places=tuple(dict.fromkeys(result.place for result in group)),
                remarks=tuple(dict.fromkeys(text for result in group for text in result.remarks)),
            )
            for command, group in groups.items()
        ]

    @property
    def lines(self) -> str:
        """The file of its records: one JSON object a line."""
        return "".join(entry.record.line() for entry in self.entries)


def methods(
    found: Sequence[Board], records: Sequence[Record], superseded: Sequence[Record] = ()
) -> list[Method]:
    """Every method with records, by name; a line that stands in two places counts once.

    Args:
        found: the boards.
        records: every record that stands.
        superseded: records that a newer one has replaced.
    """
    fates = {id(record): "superseded" for record in superseded} | {
        id(record): "yes"
        for board in found
        for sheet in board.sheets
        for row in sheet.table.rows
        for record in row.records
    }
    results = _results(found)
    entries: dict[str, list[Record]] = {}
    for record in (*records, *superseded):
        entries.setdefault(record.method.name, []).append(record)
    return [_method(name, results.get(name, ()), entries[name], fates) for name in sorted(entries)]


def _results(found: Iterable[Board]) -> dict[str, list[Result]]:
    results: dict[str, list[Result]] = {}
    for board in found:
        ceilings = set()
        for sheet in board.sheets:
            for row in sheet.table.rows:
                place = (row.title, row.architecture)
                if row.ceiling and place in ceilings:
                    continue  # the same row below another budget
                ceilings.add(place)
                results.setdefault(row.method, []).append(
                    Result(
                        table=sheet.table,
                        sheet=sheet.id,
                        row=row,
                        command=reproduce.row_command(sheet.table.key, row),
                        remarks=tuple(reproduce.remarks(sheet.table.key, row)),
                    )
                )
    return results


def _method(
    name: str, results: Iterable[Result], records: Iterable[Record], fates: Mapping[int, str]
) -> Method:
    kept: dict[tuple[str, str, str], Record] = {}
    for record in records:
        where = links.identity(record)
        if where not in kept or fates.get(id(record)) == "yes":
            kept[where] = record
    ordered = sorted(kept.values(), key=_order)
    recipes = _short_recipes(ordered)
    card, missing = _card(name)
    return Method(
        name=name,
        card=card,
        missing=missing,
        results=tuple(results),
        entries=tuple(
            Entry(
                record=record,
                line=number,
                recipe=recipe,
                counts=fates.get(id(record)) or _why_not(record),
            )
            for number, (record, recipe) in enumerate(zip(ordered, recipes, strict=True), start=1)
        ),
    )


def _short_recipes(records: Sequence[Record]) -> list[str]:
    """Of each recipe the epochs, the learning rate, and what not all of these records share."""
    keys = [canonical_json(record.recipe) for record in records]
    recipes = {key: LEFT_OUT | record.recipe for key, record in zip(keys, records, strict=True)}
    names = {name for recipe in recipes.values() for name in recipe}
    varying = {
        name
        for name in names
        if len({canonical_json(recipe.get(name)) for recipe in recipes.values()}) > 1
    }
    shown = ["epochs", "lr", *sorted(varying - {"epochs", "lr"})]
    short = {
        key: wording.recipe({name: recipe[name] for name in shown if name in recipe})
        for key, recipe in recipes.items()
    }
    return [short[key] for key in keys]


def _why_not(record: Record) -> str:
    return "validation" if record.trial.split == "validation" else "repeated"


def _order(record: Record) -> tuple[object, ...]:
    """Table by table, within each row by row."""
    where = record.trial
    return (
        where.protocol,
        -where.version,
        record.protocol_hash,
        where.tier,
        where.dataset,
        where.budget,
        where.track,
        where.architecture,
        record.method.version,
        canonical_json([record.method.parameters, record.recipe]),
        where.network,
        len(where.merged_seeds),
        where.evaluation_seed,
        record.time,
        record.id,
    )


def _card(name: str) -> tuple[cards.Card | None, str]:
    try:
        return cards.card(name), ""
    except BenchError as error:
        return None, str(error)
