"""What the commands of this package share: options, reading records, printing, exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bench.errors import BadFile
    from leaderboard.reading import Reading
    from leaderboard.sources import Sources

RESULTS = Path("leaderboard/results")
RUNS = Path("runs")

ResultsOption = Annotated[Path, typer.Option("--results", help="Folder of published records.")]
StoresOption = Annotated[
    list[Path] | None,
    typer.Option("--store", help="A store whose records count as well; repeat it for several."),
]
OwnStoresOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--store", help="A store whose records count as well; repeat it. Default: runs, if there."
    ),
]
DataRootOption = Annotated[
    Path | None,
    typer.Option("--data-root", envvar="BENCH_DATA", help="Folder with real data."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
ProtocolOption = Annotated[str | None, typer.Option("--protocol", help="Only this protocol.")]
TierOption = Annotated[str | None, typer.Option("--tier", help="Only this tier.")]
TrackOption = Annotated[str | None, typer.Option("--track", help="Only this track.")]
DatasetOption = Annotated[str | None, typer.Option("--dataset", "-d", help="Only this dataset.")]
BudgetOption = Annotated[str | None, typer.Option("--budget", help="Only this budget, such as 10.")]


def own_stores(stores: list[Path] | None) -> list[Path]:
    """The stores asked for, else the one that ``bench run`` fills by default."""
    if stores is not None:
        return stores
    return [RUNS] if (RUNS / "records").is_dir() else []


def read(results: Path, stores: Iterable[Path]) -> Reading:
    """All records of the results and of some stores, with what could not be read.

    Raises:
        MissingData: a store holds no records, or there are none at all.
    """
    from bench.errors import MissingData
    from leaderboard import reading

    roots = [store / "records" for store in stores]
    for root in roots:
        if not root.is_dir():
            raise MissingData(
                f"There are no records in {root}; name a folder that `bench run` wrote."
            )
    found = reading.read([results], roots)
    if not found.records and not found.faults:
        raise MissingData(
            f"There are no records in {results}. `bench run` makes some in `runs`; "
            f"`--store runs` reads them there, `bench leaderboard publish` copies them."
        )
    return found


def tell_sources(found: Sources, stores: Sequence[Path]) -> None:
    """Where the records that were shown come from, on stderr."""
    from leaderboard.sources import sentence

    complain(sentence(found, stores))


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def complain(sentence: str) -> None:
    """One line on stderr, safe for a terminal."""
    from leaderboard.wording import line

    typer.echo(line(sentence), err=True)


def end(faults: Iterable[BadFile], *, failed: bool = False) -> None:
    """Report what could not be read; exit 1 if there was any, or if the work failed."""
    for fault in faults:
        complain(str(fault))
        failed = True
    if failed:
        raise typer.Exit(1)
