"""``bench leaderboard`` and ``bench compare``: parse, call, print; no logic."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bench.errors import BadFile
    from bench.records import Record
    from bench.trials import Tier

RESULTS = Path("leaderboard/results")
PAGE = Path("leaderboard/README.md")
README = Path("README.md")
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
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]

app = typer.Typer(
    add_completion=False,
    help="Tables of results: render them, publish records.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.command()
def build(
    results: ResultsOption = RESULTS,
    store: StoresOption = None,
    output: Annotated[Path, typer.Option("--output", help="The page to write.")] = PAGE,
    readme: Annotated[
        Path | None,
        typer.Option(
            "--readme",
            help="Page whose leaderboard block is replaced. Default: README.md, and none with "
            "another --output.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if a page is stale.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Render every table to Markdown.

    Writes the whole leaderboard to `--output`, and a short form between
    `<!-- leaderboard:begin -->` and `<!-- leaderboard:end -->` of `--readme`, where these stand.
    A damaged line is reported with its place; everything else is rendered, and the exit code is 1.

    Example: `bench leaderboard build --check`
    """
    from bench.files import write_text
    from leaderboard import pages, render
    from leaderboard.tables import tables

    records, faults = _read(results, store or [])
    found = tables(records)
    wanted = pages.pages(found, output, readme or (README if output == PAGE else None))
    stale = pages.stale(wanted)
    for path in stale:
        if not check:
            write_text(path, wanted[path])
    if as_json:
        _print_json(render.data(found))
    else:
        state = "stale" if check else "written"
        for path in wanted:
            typer.echo(f"{path}: {state if path in stale else 'up to date'}")
        typer.echo(f"{len(found)} tables of {len(records)} records")
    _end(faults, failed=check and bool(stale))


@app.command()
def show(
    results: ResultsOption = RESULTS,
    store: OwnStoresOption = None,
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Only this one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the tables.

    Example: `bench leaderboard show --dataset digits`
    """
    from rich.console import Console

    from bench.errors import UnknownName
    from leaderboard import render
    from leaderboard.tables import tables

    records, faults = _read(results, _or_own(store))
    found = tables(records)
    known = {table.key.dataset for table in found}
    if dataset is not None and dataset not in known:
        raise UnknownName("dataset with records", dataset, known)
    shown = [table for table in found if dataset in (None, table.key.dataset)]
    if as_json:
        _print_json(render.data(shown))
    else:
        console = Console()
        for table in shown:
            console.print(render.terminal(table))
    _end(faults)


@app.command()
def publish(
    store: Annotated[Path, typer.Option("--store", help="The store to publish from.")] = RUNS,
    results: ResultsOption = RESULTS,
    as_json: JsonOption = False,
) -> None:
    """Append a store's finished records to the published results.

    Records are checked first: schema, protocol hash, id, accuracy against per-image correctness.
    Lines that stand there already are never touched; trials that do are left out.

    Example: `bench leaderboard publish --store runs`
    """
    from bench.errors import MissingData
    from leaderboard.publish import publish as publish_records

    source = store / "records"
    if not source.is_dir():
        raise MissingData(
            f"There are no records in {source}; `bench run --store {store}` makes some."
        )
    outcome = publish_records(source, results, _rules_hash)
    counts = {"published": outcome.published, "present": outcome.present, "left": outcome.left}
    if as_json:
        _print_json(counts | {"refused": outcome.refused})
    else:
        typer.echo(
            f"{outcome.published} published, {outcome.present} there already, "
            f"{outcome.left} not for publication, {len(outcome.refused)} refused"
        )
    for sentence in outcome.refused:
        _complain(sentence)
    _end(outcome.faults, failed=bool(outcome.refused))


@app.command()
def schema() -> None:
    """Print the JSON Schema of a record line.

    Example: `bench leaderboard schema > leaderboard/record.schema.json`
    """
    from bench.records import json_schema

    typer.echo(json.dumps(json_schema(), indent=2, sort_keys=True))


def compare(
    a: Annotated[str, typer.Argument(help="A method, or one with changes as the tables name it.")],
    b: Annotated[str, typer.Argument(help="Another.")],
    results: ResultsOption = RESULTS,
    store: OwnStoresOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell whether the difference between two methods is significant.

    Welch's t-test in every table and architecture where both have results; the verdict is taken
    from p-values that are Holm-corrected for the number of these.

    Example: `bench compare dm random`
    """
    from rich.console import Console

    from leaderboard import render
    from leaderboard.tables import compare as compare_methods
    from leaderboard.tables import tables

    records, faults = _read(results, _or_own(store))
    compared = compare_methods(tables(records), a, b)
    if as_json:
        _print_json(render.comparison_data(compared))
    else:
        Console().print(render.terminal_comparisons(compared))
    _end(faults)


def _or_own(stores: list[Path] | None) -> list[Path]:
    """The stores asked for, else the one that ``bench run`` fills by default."""
    if stores is not None:
        return stores
    return [RUNS] if (RUNS / "records").is_dir() else []


def _read(results: Path, stores: Iterable[Path]) -> tuple[list[Record], list[BadFile]]:
    """All records of the results and of some stores, with what could not be read.

    Raises:
        MissingData: a store holds no records, or there are none at all.
    """
    from bench import records
    from bench.errors import MissingData

    roots = [results, *(store / "records" for store in stores)]
    for root in roots[1:]:
        if not root.is_dir():
            raise MissingData(
                f"There are no records in {root}; name a folder that `bench run` wrote."
            )
    found, faults = [], []
    for root in roots:
        some, damaged = records.scan(root)
        found += some
        faults += damaged
    if not found and not faults:
        raise MissingData(
            f"There are no records in {results}. `bench run` makes some in `runs`; "
            f"`--store runs` reads them there, `bench leaderboard publish` copies them."
        )
    return found, faults


def _rules_hash(protocol: str, version: int, tier: Tier) -> str | None:
    """The hash of the installed rules of this protocol, version and tier."""
    from bench.errors import UnknownName
    from bench.planning import load_rules, rules_hash

    try:
        rules = load_rules(protocol, tier)
    except UnknownName:
        return None
    return rules_hash(rules) if rules.version == version else None


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def _complain(sentence: str) -> None:
    from leaderboard.wording import line

    typer.echo(line(sentence), err=True)


def _end(faults: Iterable[BadFile], *, failed: bool = False) -> None:
    """Report what could not be read; exit 1 if there was any, or if the work failed."""
    for fault in faults:
        _complain(str(fault))
        failed = True
    if failed:
        raise typer.Exit(1)
