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

if TYPE_CHECKING:
    from bench.equivalence import Verdict


def equivalence(
    dataset: DatasetOption,
    precision: PrecisionOption = "fp32",
    strategy: StrategyOption = "auto",
    network: Annotated[
        str | None, typer.Option("--network", "-n", help="Default: the field's for the size.")
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
    narrower than ±0.5 points. `bench run --precision` asks for that verdict. Exit code 1: not
    equivalent.

    Example: `bench equivalence --precision bf16 --dataset digits`
    """
    from bench import datasets, environment
    from bench.cli.progress import students
    from bench.equivalence import compare, random_images, remember
    from bench.randomness import generator
    from bench.recipes import STANDARD

    chosen = shared.precision(precision)
    way = shared.strategy(strategy)
    pair = datasets.load(dataset, data_root=data_root, split="validation")
    place = environment.choose_device(device)
    environment.use_full_precision()
    recipe = STANDARD.with_changes({"epochs": epochs, "precision": chosen})
    source = random_images(pair.train, ipc, generator("equivalence", pair.train.spec.name, ipc))
    with students(2 * seeds, epochs) as progress:
        verdict = compare(
            source,
            network or pair.train.spec.default_network,
            recipe,
            pair.test.to(place),
            seeds=seeds,
            strategy=way,
            report=lambda name: (
                lambda seed, done, total: progress(f"{name}, seed {seed}", done, total)
            ),
        )
    path = remember(store, verdict)
    typer.echo(json.dumps(_row(verdict)) if as_json else _text(verdict, path))
    if not verdict.equivalent:
        raise typer.Exit(1)


def _row(verdict: Verdict) -> dict[str, Any]:
    found = {"interval": verdict.interval, "equivalent": verdict.equivalent}
    return asdict(verdict) | found


def _text(verdict: Verdict, path: Path) -> str:
    from bench.statistics import summarize

    reference, faster = summarize(verdict.reference), summarize(verdict.faster)
    low, high = (100 * bound for bound in verdict.interval)
    way = f"{verdict.precision}, {verdict.strategy}"
    return "\n".join(
        [
            "| students | mean | std |",
            "|---|---|---|",
            f"| reference, fp32 | {100 * reference.mean:.2f} | {100 * reference.std:.2f} |",
            f"| {way} | {100 * faster.mean:.2f} | {100 * faster.std:.2f} |",
            "",
            f"{verdict.network} on {verdict.dataset}, {len(verdict.reference)} seeds: difference "
            f"{100 * (faster.mean - reference.mean):+.2f} points, 95 % [{low:+.2f}, {high:+.2f}]: "
            f"{'equivalent' if verdict.equivalent else 'not equivalent'}. Noted in {path}.",
        ]
    )
