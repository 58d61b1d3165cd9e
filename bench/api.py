"""The suite from Python: four calls that need no files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bench import artifacts, cards, datasets, distillation, evaluation, records
from bench.data import RealSet, SyntheticSet
from bench.environment import choose_device, prepare_process
from bench.errors import ContractError, InvalidValue
from bench.evaluation import Choice, Outcome
from bench.generators import SyntheticGenerator
from bench.recipes import STANDARD, Recipe
from bench.relabelling import relabel
from bench.specs import Budget, DatasetSpec
from bench.statistics import Summary, cut, is_cut, summarize
from bench.store import Store
from bench.studies import counted
from bench.trials import Distillation, Split, Tier

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Progress = Callable[[str, int, int], None]
"""Called as ``progress(what, done, total)``."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What several students reached.

    Attributes:
        outcomes: one a seed.
        dataset: tested on its test images.
        network: the students' network.
        recipe: how they were trained.
    """

    outcomes: tuple[Outcome, ...]
    dataset: str
    network: str
    recipe: Recipe

    @property
    def accuracies(self) -> tuple[float, ...]:
        """Test accuracy of each seed, in [0, 1]."""
        return tuple(outcome.accuracy for outcome in self.outcomes)

    @cached_property
    def summary(self) -> Summary:
        """Mean, population standard deviation and 95 % t-interval."""
        return summarize(self.accuracies)

    @property
    def mean(self) -> float:
        """Mean accuracy, in [0, 1]."""
        return self.summary.mean

    @property
    def std(self) -> float:
        """Population standard deviation over seeds, as papers print it."""
        return self.summary.std

    def __repr__(self) -> str:
        interval = self.summary.interval
        deviation, low_high = "", ""
        if interval:
            low, high = cut(interval)
            deviation = f" ± {100 * self.std:.1f}"
            low_high = f", 95 % [{100 * low:.1f}, {100 * high:.1f}]"
            low_high += " (cut to [0, 100])" if is_cut(interval) else ""
        return (
            f"Evaluation({100 * self.mean:.1f}{deviation} %{low_high}, "
            f"{counted(len(self.outcomes), 'seed')}, {self.network} on {self.dataset})"
        )


def evaluate(
    images: SyntheticSet | SyntheticGenerator | Tensor | np.ndarray[Any, Any],
    labels: Tensor | np.ndarray[Any, Any] | None = None,
    *,
    dataset: str,
    network: str | None = None,
    seeds: int = 5,
    recipe: Recipe = STANDARD,
    learning_rate: float | None = None,
    split: Split = "test",
    device: str = "auto",
    data_root: Path | str | None = None,
    progress: Progress | None = None,
    strategy: Choice = "auto",
) -> Evaluation:
    """Train fresh students on a synthetic set or generator; test each once, after its last epoch.

    Args:
        images: ``(N, C, H, W)`` floats in model-input space (normalised, not [0, 1] pixels), or a
            :class:`SyntheticSet` or :class:`SyntheticGenerator`, which bring their own labels.
        labels: ``(N,)`` class indices, or ``(N, K)`` logits.
        dataset: whose test images judge.
        network: the students' network; the field's ConvNet for the image size if not given.
        seeds: how many students.
        recipe: how they are trained.
        learning_rate: a learned learning rate, used when the recipe says so.
        split: ``validation`` tests on held-out training images, for choices.
        device: ``auto``, ``cpu``, ``cuda`` …
        data_root: where real data lie.
        progress: called after each epoch, maybe from another thread.
        strategy: how the engine trains the students; ``auto`` chooses
            (:mod:`bench.evaluation.engine`).

    Raises:
        ContractError: images or labels do not fit the dataset or contradict its pixel space, or
            the recipe asks for a teacher's labels, which protocols alone can give.
        InvalidValue: fewer than one seed, or a strategy that does not go with device or network.
        UnknownName: no such strategy.
        MissingData: the dataset is not on this machine.
    """
    if seeds < 1:
        raise InvalidValue(f"seeds is {seeds}; give at least 1.")
    synthetic = _synthetic(images, labels, learning_rate)
    test = _real(dataset, synthetic, split, data_root).test.to(choose_device(device))
    _check_pixel_space(synthetic.check(test.spec), test)
    labelled = relabel(synthetic, recipe.labels, teacher=None)
    architecture = network or test.spec.default_network

    def report(seed: int, done: int, total: int) -> None:
        if progress:
            progress(f"seed {seed}", done, total)

    prepare_process()
    outcomes = evaluation.evaluate(
        labelled, architecture, recipe, test, range(seeds), report=report, strategy=strategy
    )
    return Evaluation(
        outcomes=tuple(outcomes), dataset=test.spec.name, network=architecture, recipe=recipe
    )


def _synthetic(
    images: Any, labels: Any, learning_rate: float | None
) -> SyntheticSet | SyntheticGenerator:
    if isinstance(images, SyntheticSet | SyntheticGenerator):
        if labels is not None or learning_rate is not None:
            kind = type(images).__name__
            raise ContractError(f"A {kind} brings its labels and learning rate; give none.")
        return images
    if labels is None:
        raise ContractError("Images need labels: (N,) class indices or (N, K) logits.")
    pixels, targets = torch.as_tensor(images), torch.as_tensor(labels)
    hard = not targets.is_floating_point()
    return SyntheticSet(
        images=pixels.float() if pixels.is_floating_point() else pixels,
        labels=targets.long() if hard else targets.float(),
        learning_rate=learning_rate,
    )


def _check_pixel_space(synthetic: SyntheticSet | SyntheticGenerator, test: RealSet) -> None:
    given = synthetic.header.preprocessing if synthetic.header else None
    expected = test.preprocessing.header()
    if given not in (None, expected):
        raise ContractError(
            f"The set was made in the pixel space {given}, but the test images of "
            f"{test.spec.name} are in {expected}; evaluate it on the data it was made from."
        )


def _real(
    dataset: str,
    synthetic: SyntheticSet | SyntheticGenerator | None,
    split: Split,
    data_root: Path | str | None,
) -> datasets.RealPair:
    """Real data in the pixel space of the synthetic set."""
    kind = "normalize"
    if synthetic is not None and synthetic.header is not None:
        kind = str(synthetic.header.preprocessing.get("kind", kind))
    root = Path(data_root) if data_root is not None else None
    return datasets.load(dataset, data_root=root, split=split, preprocessing=kind)


def distill(
    method: str,
    *,
    dataset: str,
    budget: Budget | int | str = 1,
    tier: Tier = "quick",
    network: str | None = None,
    preprocessing: str = "normalize",
    seed: int = 0,
    split: Split = "test",
    device: str = "auto",
    data_root: Path | str | None = None,
    progress: Progress | None = None,
    **parameters: Any,
) -> SyntheticSet | SyntheticGenerator:
    """Distil a dataset.

    Args:
        method: entry-point name.
        dataset: what to distil.
        budget: images per class; for a method that hands over a generator, those of one epoch.
        tier: whose presets apply.
        network: what to distil with; the field's ConvNet for the image size if not given.
        preprocessing: ``normalize`` or ``zca``.
        seed: decides every draw.
        split: ``validation`` distils from the fit part of the training images alone.
        device: ``auto``, ``cpu``, ``cuda`` …
        data_root: where real data lie.
        progress: called along experts and steps.
        **parameters: changed parameters of the method.

    Raises:
        UnknownName: no such method, dataset or parameter.
        MissingData: the dataset is not on this machine.
        ContractError: the method hands over neither a set nor a generator (``whole``).
    """
    root = Path(data_root) if data_root is not None else None
    pair = datasets.load(dataset, data_root=root, split=split, preprocessing=preprocessing)
    train = pair.train.to(choose_device(device))
    plan = _plan(
        method, train.spec, _budget(method, budget), tier, network, preprocessing, seed, parameters
    )
    known = datasets.facts(dataset, data_root=root)  # one name for one dataset, as in records
    plan = replace(plan, split=split, checksum=known.checksum or "")
    prepare_process()
    with tempfile.TemporaryDirectory(prefix="bench-experts-") as experts:
        made = distillation.make(
            plan,
            train,
            experts=Path(experts),
            report=lambda phase, done, total, _: progress(phase, done, total) if progress else None,
        )
    if not isinstance(made.source, SyntheticSet | SyntheticGenerator):
        raise ContractError(f"The method {method!r} hands over no synthetic set or generator.")
    return made.source


def _budget(method: str, given: Budget | int | str) -> Budget:
    """What is given, as a budget; a number counts in the method's own kind, as in a run."""
    budget = Budget.parse(given)
    generative = cards.card(method).budgets == ("inpc",)
    return Budget("inpc", budget.count) if generative and budget.kind == "ipc" else budget


def _plan(
    method: str,
    spec: DatasetSpec,
    budget: Budget,
    tier: Tier,
    network: str | None,
    preprocessing: str,
    seed: int,
    parameters: dict[str, Any],
) -> Distillation:
    resolved = cards.resolve(method, tier, spec.name, budget, parameters)
    return Distillation(
        method=method,
        version=cards.card(method).version,
        parameters=resolved.parameters,
        dataset=spec.name,
        checksum="",
        preprocessing=preprocessing,
        split="test",
        budget=budget,
        network=network or spec.default_network,
        seed=seed,
    )


def load(path: Path | str) -> SyntheticSet | SyntheticGenerator:
    """Read a synthetic set or generator that this suite has written.

    Raises:
        BadFile: damaged, of another kind, or not what its header says.
    """
    return artifacts.load(Path(path))


def results(store: Path | str = "runs") -> pd.DataFrame:
    """Every record of a store as a frame, one row a trial, nested facts as dotted columns."""
    import pandas as pd

    found = records.read_all(Store(Path(store)).records)
    return pd.json_normalize([record.model_dump(mode="json", by_alias=True) for record in found])
