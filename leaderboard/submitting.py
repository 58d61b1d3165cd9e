"""``bench submit``: parse, call, print; no logic."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leaderboard.console import (
    RESULTS,
    DataRootOption,
    JsonOption,
    ResultsOption,
    complain,
    print_json,
)
from leaderboard.installed import installed_hash

if TYPE_CHECKING:
    from leaderboard.rerun import Repetition


def submit(
    files: Annotated[
        list[Path], typer.Argument(help="Record files, the synthetic sets they name, profiles.")
    ],
    results: ResultsOption = RESULTS,
    again: Annotated[
        bool,
        typer.Option("--rerun", help="Run the cheapest new trial again and show the difference."),
    ] = False,
    published: Annotated[
        Path | None,
        typer.Option(
            "--published",
            help="A trusted copy of the results from before the contribution: what stands there is "
            "neither judged nor run again.",
        ),
    ] = None,
    data_root: DataRootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell whether a contribution could be published, and everything that is wrong with it.

    Exit code 0 if nothing is wrong, 1 with a line for each fault otherwise. What cannot be checked
    because a method or dataset is not installed is told as well, and is no fault.

    Example: `bench submit runs/records/ipc-grid-v1/quick/digits/dm.jsonl --rerun`
    """
    from leaderboard.planned import not_here
    from leaderboard.rerun import cheapest, rerun
    from leaderboard.submission import examine

    found = examine(files, results, installed_hash, published)
    new = found.contributed
    wanted = again and not found.faults
    chosen = cheapest(record for record in new if not not_here(record)) if wanted else None
    repetition = rerun(chosen, data_root) if chosen else None
    if as_json:
        print_json(
            {
                "records": len(new),
                "artifacts": found.artifacts,
                "profiles": found.profiles,
                "missing_artifacts": found.missing,
                "faults": [asdict(fault) for fault in found.faults],
                "remarks": found.remarks,
                "rerun": _data(repetition) if repetition else None,
            }
        )
    else:
        typer.echo(
            f"{len(new)} records, {found.artifacts} synthetic sets ({found.missing} records come "
            f"without theirs), {found.profiles} profiles, {len(found.faults)} faults"
        )
        if repetition:
            typer.echo(_sentence(repetition))
        elif wanted:
            typer.echo("Run again: nothing; no new record that ended well can be run here.")
    for remark in found.remarks:
        complain(remark)
    for fault in found.faults:
        complain(str(fault))
    if found.faults or (repetition and repetition.measured.status != "ok"):
        raise typer.Exit(1)


def _data(repetition: Repetition) -> dict[str, Any]:
    return {
        "trial": repetition.stated.id,
        "method": repetition.stated.method.name,
        "status": repetition.measured.status,
        "stated": repetition.stated.metrics.get("accuracy"),
        "measured": repetition.measured.metrics.get("accuracy"),
        "difference": repetition.difference,
    }


def _sentence(repetition: Repetition) -> str:
    from leaderboard.wording import percent, plain

    stated, measured = repetition.stated, repetition.measured
    where = stated.trial
    what = (
        f"Run again: {stated.method.name} on {where.dataset}, {where.budget}, {where.track} track, "
        f"seed {where.evaluation_seed}"
    )
    if repetition.difference is None:
        return plain(f"{what}: it ended {measured.status}: {measured.reason}")
    old, new = (percent(record.metrics["accuracy"]) for record in (stated, measured))
    change = f"{100 * repetition.difference:+.1f} points"
    return plain(f"{what}: stated {old} %, measured {new} %, {change}")
