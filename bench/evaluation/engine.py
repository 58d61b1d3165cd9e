"""One door to every way of training students, and the choice between them.

============ ===================================================================================
strategy     how students are trained
============ ===================================================================================
reference    one after the other by the plain loop: the oracle
compiled     one after the other, their common step compiled
parallel     side by side on the CPU, one thread each, by the plain loop
parallel-compiled  side by side on the CPU, one thread each, their common step compiled
vectorised   all together as one program; a CUDA graph on CUDA
============ ===================================================================================

All give a student the same initial weights, the same order of images and the same augmentation, so
results differ by rounding alone. ``auto`` chooses by facts of the trial (device, network, recipe,
counted work, number of seeds), never by measured time: the same trial is always trained in the
same way.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal, get_args

import torch

from bench import networks
from bench.data import RealSet, SyntheticSet, SyntheticSource
from bench.errors import InvalidValue, UnknownName
from bench.evaluation import compiled, memory, parallel, reference, vectorised
from bench.evaluation.functional import is_pure
from bench.evaluation.outcome import Assignment, Candidate, EpochReport, Outcome
from bench.evaluation.parallel import GiveWay
from bench.evaluation.precision import arithmetic
from bench.evaluation.students import Train, outcomes
from bench.generators import SyntheticGenerator
from bench.randomness import generator
from bench.recipes import Recipe
from bench.specs import DatasetSpec

Strategy = Literal["reference", "compiled", "parallel", "parallel-compiled", "vectorised"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
Choice = Literal["auto"] | Strategy
"""What can be asked for."""

COMPILING_PAYS = 2e13
"""Floating-point operations of a student's training from which its step is compiled.

Compiling costs a core 20 to 60 seconds, and at some 10¹¹ operations a second the plain loop takes
200 seconds for this many, of which the compiled one saves half.
"""

MOST_COMPILED = 2_000_000
"""Parameters of a network up to which its step is compiled by choice.

ConvNet-D3 (a third of a million) gains. VGG11 (nine million) took 1.2 times as long as the
usual loop; which part of the step is to blame was not measured.
"""

PARALLEL_PAYS = 1e12
"""Floating-point operations from which students train side by side; below, Python's lock binds."""


def evaluate(
    source: SyntheticSource,
    network: str,
    recipe: Recipe,
    test: RealSet,
    seeds: Sequence[int],
    *,
    report: EpochReport | None = None,
    strategy: Choice = "auto",
) -> list[Outcome]:
    """Train one fresh student a seed and test it once.

    A seed's result does not depend on the other seeds, beyond rounding.

    Args:
        source: what the students train on; moved to the device of ``test``.
        network: the students' network.
        recipe: how they are trained.
        test: the test images; read here alone, after the last epoch.
        seeds: one student each.
        report: called after each epoch of a student, maybe from another thread.
        strategy: how to train; ``auto`` chooses.

    Raises:
        NotApplicable: the network cannot take these images, or the loss needs other labels.
        Diverged: a student's loss became NaN or infinite.
        UnknownName: no such strategy.
        InvalidValue: a strategy or a precision that does not go with the device or the network.
        OutOfMemoryError: not even one student fits.
    """
    assignment = Assignment(
        source=source.to(test.device), network=network, recipe=recipe, test=test
    )
    candidates = [Candidate(assignment, seed) for seed in seeds]
    return evaluate_candidates(candidates, report=report, strategy=strategy)


def evaluate_candidates(
    candidates: Sequence[Candidate],
    *,
    report: EpochReport | None = None,
    strategy: Choice = "auto",
) -> list[Outcome]:
    """Train one fresh student for each candidate and test it once.

    Candidates of one kind are trained together where the strategy trains students together: their
    sources, seeds and learning rates may differ.

    Args:
        candidates: what each student is told; sources on the device of the test images.
        report: called after each epoch of a student, maybe from another thread.
        strategy: how to train; ``auto`` chooses for each kind.

    Returns:
        The outcomes in the candidates' order.

    Raises:
        NotApplicable, Diverged, UnknownName, InvalidValue, OutOfMemoryError: see :func:`evaluate`.
    """
    alike: dict[Hashable, list[int]] = {}
    for place, candidate in enumerate(candidates):
        alike.setdefault(candidate.assignment.kind, []).append(place)
    found: dict[int, Outcome] = {}
    for places in alike.values():
        group = [candidates[place] for place in places]
        found.update(zip(places, _evaluate_alike(group, report, strategy), strict=True))
    return [found[place] for place in range(len(candidates))]


def _evaluate_alike(
    candidates: Sequence[Candidate], report: EpochReport | None, strategy: Choice
) -> list[Outcome]:
    assignment = candidates[0].assignment
    chosen = choose(assignment, len(candidates)) if strategy == "auto" else strategy
    check(chosen, assignment)
    with arithmetic(assignment.recipe.precision, assignment.test.device):
        found = _RUNS[chosen](candidates, report)
    return [replace(outcome, strategy=chosen) for outcome in found]


def choose(assignment: Assignment, students: int) -> Strategy:
    """The strategy for as many students as there are seeds."""
    device = assignment.test.device
    if device.type == "cuda":
        return "vectorised" if _is_pure(assignment) else "reference"
    work = training_flops(assignment)
    compiles = work >= COMPILING_PAYS and _compiles(assignment) and compiled.available(device)
    if students > 1 and work >= PARALLEL_PAYS:
        return "parallel-compiled" if compiles else "parallel"
    return "compiled" if compiles else "reference"


def check(strategy: str, assignment: Assignment) -> None:
    """Whether the strategy can train these students.

    Raises:
        UnknownName: no such strategy.
        InvalidValue: it cannot.
    """
    check_networks(strategy, _networks(assignment), assignment.test.spec, assignment.test.device)


def check_networks(
    strategy: str, names: Sequence[str], spec: DatasetSpec, device: torch.device
) -> None:
    """Whether the strategy can train a student, before there is anything to train it on.

    Args:
        strategy: how to train.
        names: the student's network, and its teacher's if it has one.
        spec: the dataset.
        device: where students are trained.

    Raises:
        UnknownName: no such strategy.
        InvalidValue: it cannot.
        NotApplicable: a network cannot take these images.
    """
    if strategy not in STRATEGIES:
        raise UnknownName("strategy", strategy, ("auto", *STRATEGIES))
    if strategy.startswith("parallel") and device.type != "cpu":
        raise InvalidValue(
            f"Students train side by side in threads on the CPU alone, not on {device}; "
            f"take 'vectorised'."
        )
    if strategy in ("compiled", "parallel-compiled", "vectorised"):
        for name in names:
            if not network_is_pure(name, spec):
                raise InvalidValue(
                    f"{name} has dropout, which draws as it computes; such a network is "
                    f"trained by 'reference' or 'parallel', not {strategy!r}."
                )
    if "compiled" in strategy and not compiled.available(device):
        raise InvalidValue(
            f"The strategy {strategy!r} needs a C++ compiler; install g++ or take 'parallel'."
        )


def training_flops(assignment: Assignment) -> float:
    """Floating-point operations of one student's training, counted: a step is three forwards."""
    per_image = _forward_flops(assignment.network, assignment.test.spec)
    return 3 * per_image * _images_an_epoch(assignment.source) * assignment.recipe.epochs


def _images_an_epoch(source: SyntheticSource) -> int:
    """How many images one epoch has; 0 for a kind of source that cannot be asked."""
    if isinstance(source, SyntheticGenerator):
        return source.shape.num_classes * source.per_class
    return len(source) if isinstance(source, SyntheticSet | RealSet) else 0


def _compiles(assignment: Assignment) -> bool:
    names, spec = _networks(assignment), assignment.test.spec
    return _is_pure(assignment) and all(_parameters(name, spec) <= MOST_COMPILED for name in names)


def _is_pure(assignment: Assignment) -> bool:
    names, spec = _networks(assignment), assignment.test.spec
    return all(network_is_pure(name, spec) for name in names)


def _networks(assignment: Assignment) -> list[str]:
    teacher = assignment.of_the_teacher()
    return [assignment.network, *([teacher.network] if teacher else [])]


@lru_cache
def network_is_pure(name: str, spec: DatasetSpec) -> bool:
    """Whether a network's output depends on tensors alone: dropout draws as it computes."""
    return is_pure(networks.build(name, spec, generator("engine")))


@lru_cache
def _parameters(name: str, spec: DatasetSpec) -> int:
    return sum(one.numel() for one in networks.build(name, spec, generator("engine")).parameters())


@lru_cache
def _forward_flops(name: str, spec: DatasetSpec) -> float:
    return networks.forward_flops(name, spec)


Run = Callable[[Sequence[Candidate], EpochReport | None], list[Outcome]]


def _one_by_one(train: Train) -> Run:
    def run(candidates: Sequence[Candidate], report: EpochReport | None) -> list[Outcome]:
        return [outcomes([candidate], train, report)[0] for candidate in candidates]

    return run


def _side_by_side(train: Train) -> Run:
    def run(candidates: Sequence[Candidate], report: EpochReport | None) -> list[Outcome]:
        def alone(candidate: Candidate, give_way: GiveWay) -> Outcome:
            def done(seed: int, epoch: int, epochs: int) -> None:
                if report:
                    report(seed, epoch, epochs)
                give_way()

            return outcomes([candidate], train, done)[0]

        return parallel.side_by_side(alone, candidates)

    return run


def _together(candidates: Sequence[Candidate], report: EpochReport | None) -> list[Outcome]:
    fit = memory.group_size(candidates[0].assignment, len(candidates))
    return memory.in_groups(
        lambda group: outcomes(group, vectorised.train_all, report), candidates, fit
    )


_RUNS: dict[str, Run] = {
    "reference": _one_by_one(reference.train_all),
    "compiled": _one_by_one(compiled.train_all),
    "parallel": _side_by_side(reference.train_all),
    "parallel-compiled": _side_by_side(compiled.train_all),
    "vectorised": _together,
}
