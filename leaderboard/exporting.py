"""``bench leaderboard table`` and ``bench leaderboard export``: parse, call, print; no logic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leaderboard.console import (
    RESULTS,
    BudgetOption,
    DatasetOption,
    JsonOption,
    OwnStoresOption,
    ProtocolOption,
    ResultsOption,
    TierOption,
    TrackOption,
    end,
    own_stores,
    print_json,
    read,
    tell_sources,
)

FORMATS = ("markdown", "csv", "json", "latex")


def table(
    results: ResultsOption = RESULTS,
    store: OwnStoresOption = None,
    form: Annotated[
        str, typer.Option("--format", "-f", help="markdown, csv, json or latex.")
    ] = "markdown",
    protocol: ProtocolOption = None,
    tier: TierOption = None,
    track: TrackOption = None,
    dataset: DatasetOption = None,
    budget: BudgetOption = None,
) -> None:
    """Print tables for other programs and for papers.

    docs/ranks.md describes the columns of CSV and the keys of JSON, which stay as they are.

    Example: `bench leaderboard table --dataset digits --budget 1 --format latex`
    """
    from bench.cli.options import known
    from leaderboard import formats, markdown
    from leaderboard.choice import Choice
    from leaderboard.sources import behind, sources
    from leaderboard.state import state
    from leaderboard.studies import beside, sections
    from leaderboard.tables import keys, tables

    known("format", [form], FORMATS)
    choice = Choice.of(protocol=protocol, tier=tier, track=track, dataset=dataset, budget=budget)
    stores = own_stores(store)
    reading = read(results, stores)
    choice.require(keys(reading.records))
    shown = tables(reading.records, correct=reading.correct, wanted=choice.holds)
    records = list(behind(shown))
    found = sources(records, reading)
    if form == "json":
        told = beside(shown, sections(reading.records))
        typer.echo(formats.as_json(shown, state(records), found, told), nl=False)
    else:
        write = {
            "csv": formats.as_csv,
            "latex": formats.as_latex,
            "markdown": lambda found: markdown.page(found),
        }
        typer.echo(write[form](shown), nl=False)
    tell_sources(found, stores)
    end(reading.faults)


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
    rows = parquet.write(to, reading)
    if as_json:
        print_json({"path": str(to), "rows": rows})
    else:
        typer.echo(f"{to}: {rows} records")
    end(reading.faults)
