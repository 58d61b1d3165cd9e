"""``bench leaderboard table`` and ``bench leaderboard export``: parse, call, print; no logic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leaderboard.console import (
    RESULTS,
    JsonOption,
    OwnStoresOption,
    ResultsOption,
    end,
    own_stores,
    print_json,
    read,
)

if TYPE_CHECKING:
    from leaderboard.tables import Table, TableKey

FORMATS = ("markdown", "csv", "json", "latex")


def _option(name: str, help: str) -> Any:
    return typer.Option(name, help=f"Only {help}.")


def table(
    results: ResultsOption = RESULTS,
    store: OwnStoresOption = None,
    form: Annotated[
        str, typer.Option("--format", "-f", help="markdown, csv, json or latex.")
    ] = "markdown",
    protocol: Annotated[str | None, _option("--protocol", "this protocol")] = None,
    tier: Annotated[str | None, _option("--tier", "this tier")] = None,
    track: Annotated[str | None, _option("--track", "this track")] = None,
    dataset: Annotated[str | None, _option("--dataset", "this dataset")] = None,
    budget: Annotated[str | None, _option("--budget", "this budget, such as 10")] = None,
) -> None:
    """Print tables for other programs and for papers.

    docs/ranks.md describes the columns of CSV and the keys of JSON, which stay as they are.

    Example: `bench leaderboard table --dataset digits --budget 1 --format latex`
    """
    from bench.cli.options import known
    from bench.specs import Budget
    from leaderboard import formats, markdown
    from leaderboard.state import state
    from leaderboard.tables import tables

    known("format", [form], FORMATS)
    reading = read(results, own_stores(store))
    shown = tables(reading.records, correct=reading.correct)
    wanted: list[tuple[str, str | None, Callable[[TableKey], str]]] = [
        ("protocol", protocol, lambda key: key.protocol),
        ("tier", tier, lambda key: key.tier),
        ("track", track, lambda key: key.track),
        ("dataset", dataset, lambda key: key.dataset),
        ("budget", budget and str(Budget.parse(budget)), lambda key: str(key.budget)),
    ]
    for kind, value, of in wanted:
        shown = _only(shown, kind, value, of)
    if form == "json":
        made = state(record for entry in shown for row in entry.rows for record in row.records)
        typer.echo(formats.as_json(shown, made), nl=False)
    else:
        write = {
            "csv": formats.as_csv,
            "latex": formats.as_latex,
            "markdown": lambda found: markdown.page(found),
        }
        typer.echo(write[form](shown), nl=False)
    end(reading.faults)


def _only(
    found: Iterable[Table], kind: str, value: str | None, of: Callable[[TableKey], str]
) -> list[Table]:
    """The tables whose key has this value.

    Raises:
        UnknownName: there are none.
    """
    from bench.errors import UnknownName

    found = list(found)
    if value is None:
        return found
    chosen = [table for table in found if of(table.key) == value]
    if not chosen:
        raise UnknownName(f"{kind} with records", value, {of(table.key) for table in found})
    return chosen


def export(
    to: Annotated[Path, typer.Option("--to", help="The file to write; it ends in .parquet.")],
    results: ResultsOption = RESULTS,
    store: OwnStoresOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write every record into one Parquet file, a row each; docs/ranks.md lists the columns.

    Records of every split and status are there, also those that do not count.

    Example: `bench leaderboard export --to records.parquet`
    """
    from bench.errors import InvalidValue
    from leaderboard import parquet

    if to.suffix != ".parquet":
        raise InvalidValue(f"--to {to} must end in .parquet, the one format there is.")
    reading = read(results, own_stores(store))
    parquet.write(to, reading)
    rows = len(reading.records) + len(reading.superseded)
    if as_json:
        print_json({"path": str(to), "rows": rows})
    else:
        typer.echo(f"{to}: {rows} records")
    end(reading.faults)
