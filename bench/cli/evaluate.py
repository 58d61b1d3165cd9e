"""``bench evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import options as shared
from bench.cli.options import (
    DataRootOption,
    DatasetOption,
    DeviceOption,
    JsonOption,
    NetworksOption,
    PrecisionOption,
    StrategyOption,
)
from bench.studies import counted

if TYPE_CHECKING:
    from bench.api import Evaluation
    from bench.data import SyntheticSet
    from bench.generators import SyntheticGenerator
    from bench.recipes import Recipe
    from bench.specs import Budget


def evaluate(
    file: Annotated[
        Path, typer.Argument(help="A synthetic set or generator: a file or folder of any tool.")
    ],
    dataset: DatasetOption,
    network: NetworksOption = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many students.")] = 5,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Of each student.")] = 1000,
    augmentation: Annotated[
        str, typer.Option("--augmentation", help="Of the students' training.")
    ] = "dsa",
    learned_lr: Annotated[
        bool, typer.Option("--learned-lr", help="Use the set's own learning rate, if it has one.")
    ] = False,
    space: Annotated[
        str,
        typer.Option(
            "--space",
            help="Pixel space of the images: auto, model-input, unit ([0, 1]), bytes (0 to 255), "
            "normalised or cifar10-normalised.",
        ),
    ] = "auto",
    index: Annotated[
        int | None,
        typer.Option("--index", help="Which set of a result file that holds several."),
    ] = None,
    preprocessing: Annotated[
        str, typer.Option("--preprocessing", help="Pixel space to train in: normalize or zca.")
    ] = "normalize",
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            "-b",
            help="Images per class: to be checked, or for a generator how many an epoch draws.",
        ),
    ] = None,
    precision: PrecisionOption = "fp32",
    strategy: StrategyOption = "auto",
    device: DeviceOption = "auto",
    data_root: DataRootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score a synthetic set made elsewhere: train fresh students on it, test each once.

    Reads this suite's files (sets and generators), the `.pt` files of DC, DSA, DM, MTT, TESLA, FTD
    and DATM, class folders, parquet and `.npz`; nothing is ever unpickled. What does not fit is
    refused. Network and recipe are those given here, not those of the run that made a set.

    Example: `bench evaluate images_best.pt --dataset cifar10 --space model-input --seeds 5`
    """
    from bench import api, artifacts, datasets, exchange
    from bench.cli.progress import students
    from bench.recipes import STANDARD
    from bench.specs import Budget

    shared.known("preprocessing", [preprocessing], ["normalize", "zca"])
    train = datasets.load(dataset, data_root=data_root, preprocessing=preprocessing).train
    asked = Budget.parse(budget) if budget else None
    synthetic: SyntheticSet | SyntheticGenerator
    notes: tuple[str, ...] = ()
    if artifacts.is_generator(file):
        synthetic = _generator(file, asked)
    else:
        imported = exchange.read(
            file,
            train.spec,
            preprocessing=train.preprocessing,
            space=space,
            budget=asked,
            index=index,
        )
        synthetic, notes = imported.synthetic, imported.notes
    recipe = STANDARD.with_changes(
        {
            "epochs": epochs,
            "augmentation": augmentation,
            "learned_lr": learned_lr,
            "precision": shared.precision(precision),
        }
    )
    way = shared.strategy(strategy)
    chosen = shared.names(network) or (train.spec.default_network,)
    with students(len(chosen) * seeds, epochs) as progress:
        scores = [
            api.evaluate(
                synthetic,
                dataset=dataset,
                network=name,
                seeds=seeds,
                recipe=recipe,
                device=device,
                data_root=data_root,
                progress=progress,
                strategy=way,
            )
            for name in chosen
        ]
    _print(scores, notes, as_json)


def _generator(file: Path, budget: Budget | None) -> SyntheticGenerator:
    """A generator of this suite, drawing as many images as its budget or ``budget`` says."""
    from bench import artifacts
    from bench.generators import SyntheticGenerator

    source = artifacts.load(file)
    assert isinstance(source, SyntheticGenerator)
    return source.with_budget(budget.count) if budget else source


def _print(scores: list[Evaluation], notes: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"notes": notes, "rows": [_row(score) for score in scores]}))
        return
    for note in notes:
        typer.echo(note)
    typer.echo(_recipe(scores[0].recipe))
    for score in scores:
        typer.echo(repr(score))


def _recipe(recipe: Recipe) -> str:
    """How all students were trained: accuracies by another recipe are other numbers."""
    lr = "the set's own or " if recipe.learned_lr else ""
    return (
        f"Recipe: {counted(recipe.epochs, 'epoch')} in batches of {recipe.batch}, augmentation "
        f"{recipe.augmentation}, learning rate {lr}{recipe.lr:g} ({recipe.schedule}), "
        f"{recipe.precision}."
    )


def _row(score: Evaluation) -> dict[str, Any]:
    return {
        "dataset": score.dataset,
        "network": score.network,
        "recipe": score.recipe.as_dict(),
        "strategy": score.outcomes[0].strategy,
        "accuracies": score.accuracies,
        "mean": score.mean,
        "std": score.std,
        "interval": score.summary.interval,
    }
