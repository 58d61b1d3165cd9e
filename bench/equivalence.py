"""Whether a faster way to train students gives the accuracies of the reference loop.

The same seeds are trained both ways on the same synthetic set; a pair of students shares its
initial weights and every draw. The verdict is the 95 % t-interval of the paired differences: it
must contain 0 and be narrower than ±0.5 points, and the reference must have learnt something: two
ways that guess agree, whatever they compute. Verdicts stand in the store, one file for each
dataset, network, precision and strategy, and open the door to that precision in ``bench run`` where
they were reached by the same software on the same device.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BadFile, InvalidValue
from bench.files import canonical_json, read_json, write_text
from bench.recipes import Precision
from bench.records import Environment, plain_name
from bench.statistics import Interval, summarize

if TYPE_CHECKING:
    from torch import Generator

    from bench.data import RealSet, SyntheticSource
    from bench.evaluation import Choice, EpochReport
    from bench.recipes import Recipe
    from bench.trials import Trial

FEWEST_SEEDS = 20
HALF_WIDTH = 0.005
"""The interval must be narrower than ± this: half a point of accuracy."""

ENOUGH_EPOCHS = 300
"""Epochs from which on a verdict counts for longer training too."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a comparison of a faster way with the reference found.

    Attributes:
        dataset: whose images tested.
        network: the students'.
        precision: of the faster way.
        strategy: of the faster way, as the engine chose it.
        epochs: of each student.
        images: in the synthetic set.
        classes: how many there are to choose from.
        device: what both ways ran on.
        torch: its version.
        package: version of this distribution.
        reference: accuracy of each seed by the reference loop in fp32, in [0, 1].
        faster: accuracy of each seed by the faster way.
    """

    dataset: str
    network: str
    precision: Precision
    strategy: str
    epochs: int
    images: int
    classes: int
    device: str
    torch: str
    package: str
    reference: tuple[float, ...]
    faster: tuple[float, ...]

    @property
    def differences(self) -> list[float]:
        """Faster minus reference, seed by seed."""
        return [a - b for a, b in zip(self.faster, self.reference, strict=True)]

    @property
    def interval(self) -> Interval:
        """95 % t-interval of the mean difference; a single seed tells nothing."""
        return summarize(self.differences).interval or (-float("inf"), float("inf"))

    @property
    def flaw(self) -> str:
        """Why the two ways are not shown to be equivalent, as half a sentence; ``""`` if they are.

        Where several things are wrong, the first that makes the others pointless.
        """
        reached, chance = summarize(self.reference).mean, 1 / self.classes
        low, high = self.interval
        if len(self.reference) < FEWEST_SEEDS:
            return f"{len(self.reference)} seeds are fewer than {FEWEST_SEEDS}"
        if reached < _learnt(chance):
            return (
                f"the reference reached {100 * reached:.1f} %, too near to chance "
                f"({100 * chance:.1f} %) to tell ways apart: train longer or on more images"
            )
        if not low <= 0 <= high:
            return "the interval does not contain 0"
        if high - low >= 2 * HALF_WIDTH:
            return f"the interval is wider than ±{100 * HALF_WIDTH:g} points; give more seeds"
        return ""

    @property
    def equivalent(self) -> bool:
        """Enough seeds of students that learn, and an interval around 0 that is narrow enough."""
        return not self.flaw


def _learnt(chance: float) -> float:
    """The accuracy from which on students have learnt something.

    Twice chance; where that is much to ask, half the way from chance to all right.
    """
    return min(2 * chance, (1 + chance) / 2)


def compare(
    source: SyntheticSource,
    network: str,
    recipe: Recipe,
    test: RealSet,
    *,
    seeds: int = FEWEST_SEEDS,
    strategy: Choice = "auto",
    oracle: Sequence[float] = (),
    report: Callable[[str], EpochReport] | None = None,
) -> Verdict:
    """Train ``seeds`` students by the reference loop in fp32 and as many the faster way.

    Args:
        source: what they train on.
        network: their architecture.
        recipe: the faster way's; its precision is what is judged.
        test: judges both.
        seeds: pairs of students.
        strategy: the faster way's.
        oracle: accuracies of the reference loop, where they are known from a comparison before.
        report: gives a progress callback for a way's name.

    Raises:
        InvalidValue: fewer than 20 seeds, or a precision or strategy that does not go here.
    """
    from bench.environment import describe
    from bench.evaluation import evaluate

    if seeds < FEWEST_SEEDS:
        raise InvalidValue(f"{seeds} seeds cannot show equivalence; give {FEWEST_SEEDS} or more.")
    plain = replace(recipe, precision="fp32")
    known = oracle or [
        one.accuracy
        for one in evaluate(
            source,
            network,
            plain,
            test,
            range(seeds),
            report=report and report("reference"),
            strategy="reference",
        )
    ]
    faster = evaluate(
        source,
        network,
        recipe,
        test,
        range(seeds),
        report=report and report(f"{recipe.precision}, {strategy}"),
        strategy=strategy,
    )
    here, (images, _) = describe(test.device), source.epoch(_unused())
    return Verdict(
        dataset=test.spec.name,
        network=network,
        precision=recipe.precision,
        strategy=faster[0].strategy,
        epochs=recipe.epochs,
        images=len(images),
        classes=test.spec.num_classes,
        device=here.device,
        torch=here.torch,
        package=here.package,
        reference=tuple(known),
        faster=tuple(one.accuracy for one in faster),
    )


def random_images(real: RealSet, per_class: int, rng: Generator) -> SyntheticSource:
    """``per_class`` random images of each class, as a synthetic set with hard labels."""
    import torch

    drawn = [
        members[torch.randperm(len(members), generator=rng)[:per_class]]
        for members in real.class_indices
    ]
    return real.subset(torch.cat(drawn))


def _unused() -> Generator:
    from bench.randomness import generator

    return generator("equivalence", "count")


def remember(store: Path, verdict: Verdict) -> Path:
    """Write a verdict into the store; the newest of its kind stands."""
    name = f"{verdict.precision}-{verdict.strategy}.json"
    path = _folder(store, verdict.dataset, verdict.network) / name
    write_text(path, canonical_json(asdict(verdict)))
    return path


def verdicts(store: Path, dataset: str, network: str) -> list[Verdict]:
    """The verdicts of a store on a dataset and network.

    Raises:
        BadFile: one of them is no verdict.
    """
    return [_read(path) for path in sorted(_folder(store, dataset, network).glob("*.json"))]


def _read(path: Path) -> Verdict:
    facts = read_json(path)
    try:
        pairs = {name: tuple(map(float, facts[name])) for name in ("reference", "faster")}
        return Verdict(**(facts | pairs))
    except (TypeError, KeyError, ValueError) as error:
        raise BadFile(f"{path} is no verdict ({error}); remove it and compare anew.") from error


def require(trials: Iterable[Trial], store: Path, here: Environment) -> None:
    """Check that every precision but fp32 has been shown equivalent where it is to be used.

    Args:
        trials: with their recipes.
        store: whose verdicts count.
        here: the software and device of the run, as records state them.

    Raises:
        InvalidValue: a dataset, network and precision without a verdict that counts.
    """
    epochs: dict[tuple[str, str, Precision], int] = defaultdict(int)
    for trial in trials:
        if trial.recipe.precision != "fp32":
            key = (trial.distillation.dataset, trial.architecture, trial.recipe.precision)
            epochs[key] = max(epochs[key], min(trial.recipe.epochs, ENOUGH_EPOCHS))
    for (dataset, network, precision), fewest in sorted(epochs.items()):
        found = [one for one in verdicts(store, dataset, network) if one.precision == precision]
        objections = [_objection(one, fewest, here) for one in found]
        if not all(objections):
            continue  # one that counts is enough
        why = "".join(
            f" The verdict on the strategy {one.strategy} does not count: {said}."
            for one, said in zip(found, objections, strict=True)
        )
        raise InvalidValue(
            f"{precision} is not shown equivalent for {network} on {dataset} on this device; "
            f"`bench equivalence --precision {precision} --dataset {dataset} "
            f"--network {network} --store {store}` finds out.{why}"
        )


def _objection(verdict: Verdict, epochs: int, here: Environment) -> str:
    """Why a verdict does not count for students of so many ``epochs``; ``""`` if it does."""
    if verdict.device != here.device:
        return f"it was reached on another device, {verdict.device}"
    if (verdict.torch, verdict.package) != (here.torch, here.package):
        return (
            f"it was reached with torch {verdict.torch} and version {verdict.package} of the "
            f"suite; here are {here.torch} and {here.package}"
        )
    if verdict.epochs < epochs:
        return f"its students were trained for {verdict.epochs} epochs, of {epochs} that count"
    return verdict.flaw


def _folder(store: Path, dataset: str, network: str) -> Path:
    return store / "equivalence" / plain_name(dataset) / plain_name(network)
