"""``bench equivalence``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import options as shared
from bench.cli.options import (
    DataRootOption,
    DatasetOption,
    DeviceOption,
    JsonOption,
    PrecisionOption,
    StoreOption,
    StrategyOption,
)
from bench.cli.run import DEFAULT_PROTOCOL
from bench.errors import InvalidValue
from bench.planning import load_rules
from bench.rules import GridRules
from bench.specs import DatasetSpec
from bench.studies import counted

if TYPE_CHECKING:
    from bench.equivalence import Verdict


def equivalence(
    dataset: DatasetOption,
    precision: PrecisionOption = "fp32",
    strategy: StrategyOption = "auto",
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            "-n",
            help="Of the students. Default: that of --tier, or else the field's for the size, "
            "which runs of the quick tier do not use.",
        ),
    ] = None,
    tier: Annotated[
        str | None,
        typer.Option("--tier", "-t", help="Take the network of runs of this tier."),
    ] = None,
    ipc: Annotated[int, typer.Option("--ipc", min=1, help="Random images of each class.")] = 10,
    seeds: Annotated[int, typer.Option("--seeds", min=20, help="Pairs of students.")] = 20,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Of each student.")] = 300,
    device: DeviceOption = "auto",
    store: StoreOption = Path("runs"),
    data_root: DataRootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a faster precision or strategy with the reference loop, and note the verdict.

    Both train the same seeds on the same random real images and are tested on held-out training
    images. Equivalent: the 95 % interval of the paired differences in accuracy contains 0 and is
    narrower than ±0.5 points, and the reference is well above chance. `bench run --precision` asks
    for that verdict on each dataset and network of the run, of as many epochs or 300, with the same
    software and device. Exit code 1: not shown to be equivalent.

    Example: `bench equivalence --precision bf16 --dataset digits --tier quick`
    """
    from bench import datasets, environment
    from bench.cli.progress import students
    from bench.equivalence import compare, random_images, remember
    from bench.randomness import generator
    from bench.recipes import STANDARD

    chosen = shared.precision(precision)
    way = shared.strategy(strategy)
    if network and tier:
        raise InvalidValue("--tier chooses the network; give --tier or --network, not both.")
    pair = datasets.load(dataset, data_root=data_root, split="validation")
    place = environment.choose_device(device)
    environment.prepare_process()
    recipe = STANDARD.with_changes({"epochs": epochs, "precision": chosen})
    source = random_images(pair.train, ipc, generator("equivalence", pair.train.spec.name, ipc))
    with students(2 * seeds, epochs) as progress:
        verdict = compare(
            source,
            network or _network(pair.train.spec, tier),
            recipe,
            pair.test.to(place),
            seeds=seeds,
            strategy=way,
            report=lambda name: (
                lambda seed, done, total: progress(f"{name}, seed {seed}", done, total)
            ),
        )
    path = remember(store, verdict)
    if as_json:
        typer.echo(json.dumps(_row(verdict)))
    else:
        _show(verdict, path)
    if not verdict.equivalent:
        raise typer.Exit(1)


def _network(spec: DatasetSpec, tier: str | None) -> str:
    """What runs of a tier train on such images by default; without a tier, the field's."""
    if tier is None:
        return spec.default_network
    rules = load_rules(DEFAULT_PROTOCOL, shared.tier(tier))
    assert isinstance(rules, GridRules)
    return rules.network(spec.size_px)


def _row(verdict: Verdict) -> dict[str, Any]:
    return asdict(verdict) | {
        "interval": verdict.interval,
        "equivalent": verdict.equivalent,
        "flaw": verdict.flaw,
    }


def _show(verdict: Verdict, path: Path) -> None:
    """Print both ways' accuracies, the difference and the verdict."""
    from rich.table import Table
    from rich.text import Text

    from bench.cli.outcome import console
    from bench.statistics import summarize

    table = Table(title=f"{verdict.network} on {verdict.dataset}, held-out training images")
    for column in ("students", "precision", "strategy", "accuracy %", "n"):
        table.add_column(column, justify="right" if column in ("accuracy %", "n") else "left")
    means = []
    for name, precision, strategy, accuracies in (
        ("reference", "fp32", "reference", verdict.reference),
        ("faster", verdict.precision, verdict.strategy, verdict.faster),
    ):
        found = summarize(accuracies)
        means.append(found.mean)
        figures = f"{100 * found.mean:.2f} ± {100 * found.std:.2f}"
        table.add_row(name, precision, strategy, figures, str(found.n))
    low, high = (100 * bound for bound in verdict.interval)
    said = "equivalent" if verdict.equivalent else f"not shown to be equivalent: {verdict.flaw}"
    out = console()
    out.print(table)
    out.print(
        Text(
            f"Difference {100 * (means[1] - means[0]):+.2f} points, 95 % interval "
            f"[{low:+.2f}, {high:+.2f}] points; {counted(verdict.epochs, 'epoch')} on "
            f"{counted(verdict.images, 'image')}: {said}. Noted in {path}."
        )
    )
