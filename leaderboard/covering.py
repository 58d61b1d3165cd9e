"""``bench leaderboard coverage``: parse, call, print; no logic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from leaderboard.console import (
    RESULTS,
    DatasetOption,
    JsonOption,
    OwnStoresOption,
    ProtocolOption,
    ResultsOption,
    end,
    own_stores,
    print_json,
    read,
)

if TYPE_CHECKING:
    from leaderboard.coverage import Cell


def coverage(
    results: ResultsOption = RESULTS,
    store: OwnStoresOption = None,
    protocol: ProtocolOption = None,
    tier: Annotated[
        str | None,
        typer.Option("--tier", help="Only this tier. Default: those with records."),
    ] = None,
    dataset: DatasetOption = None,
    commands: Annotated[
        bool, typer.Option("--commands", help="Print the commands that do the rest instead.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell which cells of the protocols' own grids are measured, and what is missing.

    A cell counts when all its trials stand, by the installed rules and presets. Finished trials of
    `--store` are not done again by the commands, if they are run on that store.

    Example: `bench leaderboard coverage --protocol ipc-grid --tier quick`
    """
    from leaderboard.coverage import coverage as compare
    from leaderboard.coverage import tiers_of

    reading = read(results, own_stores(store))
    cells = compare(reading.records, tiers_of(reading.records, protocol, tier), dataset)
    if as_json:
        print_json([_plain(cell) for cell in cells])
    elif commands:
        for command in dict.fromkeys(cell.command for cell in cells if cell.command):
            typer.echo(command)
    else:
        _print(cells)
    end(reading.faults)


def _print(cells: list[Cell]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from bench.cli.outcome import console

    table = Table()
    for column in ("protocol", "tier", "dataset", "budget", "complete", "trials", "missing"):
        table.add_column(column)
    for cell in cells:
        planned, recorded = sum(cell.planned.values()), sum(cell.recorded.values())
        missing = (
            "every method"
            if len(cell.missing) > 1 and not cell.complete
            else ", ".join(cell.missing)
        )
        table.add_row(
            *map(escape, (f"{cell.protocol} v{cell.version}", cell.tier, cell.dataset)),
            str(cell.budget),
            f"{len(cell.complete)} of {len(cell.planned)}",
            f"{recorded:,} of {planned:,}",
            escape(missing),
        )
    console().print(table)


def _plain(cell: Cell) -> dict[str, Any]:
    return {
        "protocol": cell.protocol,
        "version": cell.version,
        "tier": cell.tier,
        "dataset": cell.dataset,
        "budget": cell.budget.as_dict(),
        "planned": dict(cell.planned),
        "recorded": dict(cell.recorded),
        "command": cell.command,
    }
