"""``bench data``: what real data are here, how to get the rest, and whether they are intact."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from bench import plugins
from bench.cli import options as shared
from bench.cli.options import DataRootOption, JsonOption
from bench.errors import InvalidValue

app = typer.Typer(
    help="Real datasets: which are here, download, check; benchmark tables: convert.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


def _complete(incomplete: str) -> list[str]:
    return [name for name in plugins.names("datasets") if name.startswith(incomplete)]


NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME]...",
        help="Datasets, or `name=path` for your own.",
        autocompletion=_complete,
        show_default=False,
    ),
]
FetchArgument = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="Datasets.", autocompletion=_complete)
]


@app.command()
def status(
    names: NamesArgument = None, data_root: DataRootOption = None, as_json: JsonOption = False
) -> None:
    """Show which datasets are present and cached; of those named, how to get the missing ones.

    Example: `bench data status --data-root ~/data`
    """
    from bench import datasets
    from bench.datasets import locations

    found = [datasets.facts(name, data_root) for name in names or plugins.names("datasets")]
    if as_json:
        typer.echo(json.dumps({"datasets": [facts.as_dict() for facts in found]}))
        return
    typer.echo(f"Data root: {locations.data_root(data_root)}", err=True)
    typer.echo(f"Cache: {locations.cache_folder()}", err=True)
    _print_table(
        ("dataset", "present", "cached", "training", "test", "checksum"),
        (
            (
                facts.name,
                _yes(facts.present),
                _yes(facts.cached),
                _count(facts.train_count),
                _count(facts.test_count),
                _short(facts.checksum),
            )
            for facts in found
        ),
    )
    for facts in found if names else ():
        if facts.missing:
            typer.echo(facts.missing, err=True)


@app.command()
def fetch(names: FetchArgument, data_root: DataRootOption = None) -> None:
    """Download datasets into the data root; what is there already is left alone.

    Example: `bench data fetch fashion-mnist cifar10 --data-root ~/data`
    """
    from bench import datasets

    for name in names:
        facts = datasets.facts(name, data_root)
        if facts.present:
            typer.echo(f"{name} is already there: {facts.path}", err=True)
        else:
            typer.echo(f"{name}: {datasets.fetch(name, data_root)}")


@app.command()
def verify(
    names: NamesArgument = None, data_root: DataRootOption = None, as_json: JsonOption = False
) -> None:
    """Read datasets anew and compare counts and checksums with the published and cached ones.

    Without names every dataset that is present is verified. What is sound is cached for the runs to
    come. Exit code 1: something differs.

    Example: `bench data verify digits fashion-mnist`
    """
    from bench import datasets

    results = []
    for name in names or _present(data_root):
        typer.echo(f"Reading {name} …", err=True)
        results.append(datasets.verify(name, data_root))
    if as_json:
        typer.echo(json.dumps({"datasets": [result.as_dict() for result in results]}))
    else:
        _print_table(
            ("dataset", "checksum", "result"),
            (
                (result.name, _short(result.checksum), " ".join(result.problems) or "ok")
                for result in results
            ),
        )
    if any(result.problems for result in results):
        raise typer.Exit(1)


@app.command()
def convert(
    kind: Annotated[str, typer.Argument(help="nas-bench-201.")],
    file: Annotated[Path, typer.Argument(help="The official NAS-Bench-201-v1_1 file (.pth).")],
    to: Annotated[Path, typer.Option("--to", help="The compact table to write (.csv).")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a table that exists.")
    ] = False,
) -> None:
    """Convert an official benchmark file into the small table that protocols read.

    Example: `bench data convert nas-bench-201 NAS-Bench-201-v1_1-096897.pth --to nas-bench-201.csv`
    """
    shared.known("kind of file", [kind], ["nas-bench-201"])
    if to.exists() and not overwrite:
        raise InvalidValue(f"{to} exists; choose another target or add --overwrite.")
    from bench import nas_conversion, nas_table

    typer.echo(f"Reading {file} …", err=True)
    cells = dict(nas_conversion.official_cells(file))
    nas_table.write(to, cells)
    typer.echo(f"{to}: {len(cells):,} cells")


def _present(data_root: Path | None) -> list[str]:
    from bench import datasets

    return [name for name in plugins.names("datasets") if datasets.facts(name, data_root).present]


def _print_table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in columns:
        table.add_column(column, no_wrap=column == "dataset", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _short(checksum: str | None) -> str:
    return (checksum or "")[:12]
