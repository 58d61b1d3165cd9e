"""``bench leaderboard`` and ``bench compare``: parse, call, print; no logic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaderboard import covering, exporting
from leaderboard.console import (
    RESULTS,
    RUNS,
    BudgetOption,
    DatasetOption,
    JsonOption,
    OwnStoresOption,
    ProtocolOption,
    ResultsOption,
    StoresOption,
    TierOption,
    TrackOption,
    complain,
    end,
    own_stores,
    print_json,
    read,
    tell_sources,
)
from leaderboard.installed import installed_hash

if TYPE_CHECKING:
    from bench.profiling.records import ProfileRecord
    from leaderboard.reading import Reading
    from leaderboard.studies import Section
    from leaderboard.tables import Table

PAGE = Path("leaderboard/README.md")
README = Path("README.md")

app = typer.Typer(
    add_completion=False,
    help="Tables of results: render them, publish records.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.command()(exporting.table)
app.command()(exporting.export)
app.command()(covering.coverage)


@app.command()
def build(
    results: ResultsOption = RESULTS,
    store: StoresOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            help="The page to write. Default: leaderboard/README.md, and none with --site.",
        ),
    ] = None,
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
    site: Annotated[
        Path | None,
        typer.Option(
            "--site", help="Folder for the static site: new, empty, or filled by an earlier build."
        ),
    ] = None,
    gallery: Annotated[
        bool,
        typer.Option("--gallery/--no-gallery", help="Show the stores' distilled images there."),
    ] = True,
    data_root: Annotated[
        Path | None,
        typer.Option(
            "--data-root",
            envvar="BENCH_DATA",
            help="Folder with real data, to show the nearest real images.",
        ),
    ] = None,
    commit: Annotated[
        str, typer.Option("--commit", help="The commit that builds the site, to be stated there.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Render every table to Markdown, or to a site.

    Writes the whole leaderboard to `--output`, and a short form between
    `<!-- leaderboard:begin -->` and `<!-- leaderboard:end -->` of `--readme`, where these stand.
    With `--site`, tables, charts, methods and records become pages that open from disk; with
    `--store` these show the distilled images as well.
    A damaged line is reported with its place; everything else is rendered, and the exit code is 1.

    Example: `bench leaderboard build --site board --store runs`
    """
    from bench.errors import InvalidValue
    from bench.files import write_text
    from leaderboard import efficiency, pages, profile_files, render
    from leaderboard.studies import sections
    from leaderboard.tables import tables

    if check and site is not None:
        raise InvalidValue("--check compares the Markdown pages alone; leave out --site.")

    reading = read(results, store or [])
    found = tables(reading.records, correct=reading.correct)
    told = sections(reading.records)
    profiles = profile_files.read([results.parent, *(store or [])])
    profiled = efficiency.sections(profiles.records)
    output = output or (None if site else PAGE)
    readme = readme or (README if output == PAGE else None)
    wanted = pages.pages(found, output, readme, told, profiled)
    stale = pages.stale(wanted)
    for path in stale:
        if not check:
            write_text(path, wanted[path])
    if site is not None:
        pictured = tuple(store or ()) if gallery else ()
        _write_site(site, found, told, reading, profiles.records, pictured, data_root, commit)
    if as_json:
        print_json(render.data(found, reading))
    else:
        state = "stale" if check else "written"
        for path in wanted:
            typer.echo(f"{path}: {state if path in stale else 'up to date'}")
        if site is not None:
            typer.echo(f"{site / 'index.html'}: written")
        typer.echo(f"{len(found)} tables of {len(reading.records)} records")
    end([*reading.faults, *profiles.faults], failed=check and bool(stale))


def _write_site(
    folder: Path,
    found: list[Table],
    told: list[Section],
    reading: Reading,
    profiles: list[ProfileRecord],
    stores: tuple[Path, ...],
    data_root: Path | None,
    commit: str,
) -> None:
    from leaderboard.site import Sources, build
    from leaderboard.site.output import write

    sources = Sources(
        records=reading.records,
        superseded=reading.superseded,
        told=told,
        profiles=profiles,
        correct=reading.correct,
        stores=stores,
        data_root=data_root,
        commit=commit,
    )
    write(build(found, sources), folder)


@app.command()
def show(
    results: ResultsOption = RESULTS,
    store: OwnStoresOption = None,
    protocol: ProtocolOption = None,
    tier: TierOption = None,
    track: TrackOption = None,
    dataset: DatasetOption = None,
    budget: BudgetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the tables, and below them those that their protocols make of the same records.

    With `--json` the tables alone; `bench leaderboard table --format json` has both.

    Example: `bench leaderboard show --dataset digits`
    """
    from bench.cli.outcome import console
    from leaderboard import render
    from leaderboard.choice import Choice
    from leaderboard.sources import behind, sources
    from leaderboard.studies import beside, sections
    from leaderboard.tables import keys, tables

    choice = Choice.of(protocol=protocol, tier=tier, track=track, dataset=dataset, budget=budget)
    stores = own_stores(store)
    reading = read(results, stores)
    choice.require(keys(reading.records))
    shown = tables(reading.records, correct=reading.correct, wanted=choice.holds)
    if as_json:
        print_json(render.data(shown, reading))
    else:
        out = console()
        for table in shown:
            out.print(render.terminal(table))
        for part in render.terminal_studies(beside(shown, sections(reading.records))):
            out.print(part)
    tell_sources(sources(behind(shown), reading), stores)
    end(reading.faults)


@app.command()
def publish(
    store: Annotated[Path, typer.Option("--store", help="The store to publish from.")] = RUNS,
    results: ResultsOption = RESULTS,
    supersede: Annotated[
        str,
        typer.Option(
            "--supersede",
            metavar="REASON",
            help="Newer records of trials that stand replace them; the log says why.",
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Append a store's finished records to the published results, and its profiles beside these.

    Records are checked first, and refused for what `bench submit` would tell of them.
    Lines that stand there already are never touched. Trials that stand are left out, unless another
    commit or machine measured them, or they are to be superseded. Figures of `bench profile` are
    checked and left out likewise; they go to the folder `profiles` beside the results.

    Example: `bench leaderboard publish --store runs`
    """
    from bench.errors import MissingData
    from bench.profiling.records import FOLDER
    from leaderboard import profile_files
    from leaderboard.publish import publish as publish_records

    source = store / "records"
    if not (source.is_dir() or (store / FOLDER).is_dir()):
        raise MissingData(
            f"There are no records in {source}; `bench run --store {store}` makes some."
        )
    outcome = publish_records(source, results, installed_hash, supersede)
    profiles = profile_files.publish(store, results.parent, profile_files.installed_hash)
    counts = {
        "published": outcome.published,
        "repeated": outcome.repeated,
        "superseded": outcome.superseded,
        "present": outcome.present,
        "left": outcome.left,
    }
    if as_json:
        counted = {"published": profiles.published, "present": profiles.present}
        print_json(
            counts
            | {"refused": outcome.refused, "profiles": counted | {"refused": profiles.refused}}
        )
    else:
        typer.echo(
            f"{outcome.published} published, {outcome.present} there already, "
            f"{outcome.left} not for publication, {len(outcome.refused)} refused; "
            f"{outcome.repeated} repeat a published trial, {outcome.superseded} are superseded"
        )
        typer.echo(
            f"profiles: {profiles.published} published, {profiles.present} there already, "
            f"{len(profiles.refused)} refused"
        )
    refused = [*outcome.refused, *profiles.refused]
    for sentence in refused:
        complain(sentence)
    end([*outcome.faults, *profiles.faults], failed=bool(refused))


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
    protocol: ProtocolOption = None,
    tier: TierOption = None,
    track: TrackOption = None,
    dataset: DatasetOption = None,
    budget: BudgetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell whether the difference between two methods is significant.

    Welch's t-test over seeds in every table and architecture where both have results, and a paired
    bootstrap over the test images where their correctness is stored. Students that several
    protocols or tracks share are compared once. The verdict is taken from the larger of the two
    p-values, Holm-corrected over all that is compared: ask for fewer tables to correct for fewer.

    Example: `bench compare dm random --protocol ipc-grid`
    """
    from bench.cli.outcome import console
    from leaderboard import comparisons, render
    from leaderboard.choice import Choice
    from leaderboard.sources import sources
    from leaderboard.tables import keys, tables

    choice = Choice.of(protocol=protocol, tier=tier, track=track, dataset=dataset, budget=budget)
    comparisons.check_apart(a, b)
    stores = own_stores(store)
    reading = read(results, stores)
    records = comparisons.of_methods(reading.records, a, b)
    choice.require(keys(records))
    found = tables(records, wanted=choice.holds)
    compared = comparisons.compare(found, a, b, correct=reading.correct)
    if as_json:
        print_json(render.comparison_data(compared, reading))
    else:
        console().print(render.terminal_comparisons(compared))
    tell_sources(sources((record for cell in compared for record in cell.records), reading), stores)
    end(reading.faults)
