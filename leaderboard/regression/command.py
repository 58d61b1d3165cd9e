"""``bench check``: parse, call, print; no logic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaderboard.console import DataRootOption, JsonOption, print_json

if TYPE_CHECKING:
    from leaderboard.regression.baseline import Baseline
    from leaderboard.regression.judgement import Verdict
    from leaderboard.regression.measurement import Measured

BASELINE = Path("leaderboard/baseline.json")


def check(
    baseline: Annotated[
        Path, typer.Option("--baseline", help="The accepted figures, a JSON file.")
    ] = BASELINE,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Renew the baseline from this machine; show the change."),
    ] = False,
    data_root: DataRootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a small pinned grid and compare it with the committed baseline.

    Accuracy by an equivalence test seed by seed, live tensor memory exactly, time relative to a
    calibration kernel of the same run. Exit code 1 if anything changed for the worse, or if
    nothing was measured.

    Example: `bench check --json`
    """
    from leaderboard.regression import baseline as baselines
    from leaderboard.regression.grid import GRID
    from leaderboard.regression.judgement import judge, passes
    from leaderboard.regression.measurement import measure, measure_with_noise

    known = baselines.read(baseline) if not calibrate or baseline.exists() else None
    run = measure_with_noise if calibrate else measure
    now = _describe(run(GRID, data_root, _tell))
    verdicts = judge(known, now.cells, now.torch) if known else []
    passed = passes(verdicts)
    if calibrate:
        baselines.write(baseline, now)
    if as_json:
        print_json({"passed": passed, "verdicts": [asdict(verdict) for verdict in verdicts]})
    else:
        _print(verdicts)
        _print_end(now, verdicts, passed, baseline if calibrate else None)
    if not (passed or calibrate):
        raise typer.Exit(1)


def _tell(cell: str) -> None:
    typer.echo(f"running {cell}", err=True)


def _describe(measured: Sequence[Measured]) -> Baseline:
    import torch

    from bench import environment
    from leaderboard.regression.baseline import Baseline

    here = environment.describe(torch.device("cpu"))
    return Baseline(commit=here.commit, torch=here.torch, device=here.device, cells=tuple(measured))


def _print(verdicts: Sequence[Verdict]) -> None:
    from rich.console import Console
    from rich.table import Table

    if not verdicts:
        return
    table = Table(title="Regression check")
    for name in ("Cell", "Quantity", "Baseline", "Now", "Change", "Verdict", "Rule"):
        table.add_column(name)
    for verdict in verdicts:
        table.add_row(
            verdict.cell,
            verdict.quantity,
            _number(verdict.quantity, verdict.baseline),
            _number(verdict.quantity, verdict.now),
            _change(verdict),
            "ok" if verdict.passed else "FAILED",
            verdict.reason,
        )
    Console().print(table)


def _number(quantity: str, value: float | None) -> str:
    from leaderboard import wording

    if value is None:
        return wording.NONE
    if quantity == "accuracy":
        return f"{wording.percent(value)} %"
    return wording.size(int(value)) if quantity.startswith("memory") else f"{value:.2f}"


def _change(verdict: Verdict) -> str:
    from leaderboard import wording

    if verdict.change is None:
        return wording.NONE
    unit = "points" if verdict.quantity == "accuracy" else "%"
    return f"{100 * verdict.change:+.2f} {unit}"


def _print_end(
    now: Baseline, verdicts: Sequence[Verdict], passed: bool, written: Path | None
) -> None:
    from leaderboard.regression.judgement import MARGIN, power

    if written:
        chance = power(now)
        typer.echo(
            f"{written} renewed from {len(now.cells)} cells. The power to show that an unchanged "
            f"cell lies within ± {100 * MARGIN:g} points is "
            f"{'unknown' if chance is None else f'{chance:.3f}'}."
        )
        return
    failed = sum(not verdict.passed for verdict in verdicts)
    what = "Nothing was measured" if not verdicts else f"{failed} of {len(verdicts)} checks failed"
    typer.echo("All checks passed." if passed else f"{what}.")
