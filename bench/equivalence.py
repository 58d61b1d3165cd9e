"""Whether a faster way to train students gives the accuracies of the reference loop.

The same seeds are trained both ways on the same synthetic set; a pair of students shares its
initial weights and every draw. The verdict is the 95 % t-interval of the paired differences: it
must contain 0 and be narrower than ±0.5 points. Verdicts stand in the store, one file for each
dataset, network, precision and strategy, and open the door to that precision in ``bench run``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BadFile, InvalidValue
from bench.files import canonical_json, read_json, write_text
from bench.recipes import Precision
from bench.records import plain_name
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
    def equivalent(self) -> bool:
        """Enough seeds, and an interval around 0 that is narrow enough."""
        low, high = self.interval
        narrow = high - low < 2 * HALF_WIDTH
        return len(self.reference) >= FEWEST_SEEDS and low <= 0 <= high and narrow


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


def require(trials: Iterable[Trial], store: Path, device: str) -> None:
    """Check that every precision but fp32 has been shown equivalent where it is to be used.

    Args:
        trials: with their recipes' precision.
        store: whose verdicts count.
        device: the name that records give to the device of the run.

    Raises:
        InvalidValue: a dataset, network and precision without a verdict, or with a bad one.
    """
    wanted = {
        (trial.distillation.dataset, trial.architecture, trial.recipe.precision)
        for trial in trials
        if trial.recipe.precision != "fp32"
    }
    for dataset, network, precision in sorted(wanted):
        found = verdicts(store, dataset, network)
        if not any(v.precision == precision and v.device == device and v.equivalent for v in found):
            raise InvalidValue(
                f"{precision} is not shown equivalent for {network} on {dataset} on this device; "
                f"`bench equivalence --precision {precision} --dataset {dataset} "
                f"--network {network} --store {store}` finds out."
            )


def _folder(store: Path, dataset: str, network: str) -> Path:
    return store / "equivalence" / plain_name(dataset) / plain_name(network)
