"""From seeds to outcomes: fresh students, trained by whichever strategy, each tested once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from torch import nn

from bench import augment, networks
from bench.data import RealSet, SyntheticSource
from bench.evaluation.outcome import Assignment, EpochReport, Outcome
from bench.measure import Peak, synchronize
from bench.randomness import generator
from bench.recipes import Recipe
from bench.training import Training, predictions

EpochsDone = Callable[[int, int], None]
"""Called as ``report(student, epochs_done)`` after each epoch; students count from 0."""

Train = Callable[[Assignment, Sequence[Training], Peak, EpochsDone], Sequence[float]]
"""A way to train fresh students to their last epoch, in place; their last losses.

It raises ``Diverged`` if a loss becomes NaN or infinite.
"""


def start_training(
    source: SyntheticSource,
    network: str,
    recipe: Recipe,
    like: RealSet,
    scope: tuple[str | int, ...],
    teacher: nn.Module | None = None,
) -> Training:
    """A fresh network ready to train; initial weights, order and augmentation have own streams."""
    spec, device = like.spec, like.device
    return Training(
        network=networks.build(network, spec, generator(*scope, "weights"), device=device),
        source=source,
        recipe=recipe,
        augment=augment.build(recipe.augmentation, spec, like.preprocessing),
        shuffle=generator(*scope, "shuffle"),
        augmenting=generator(*scope, "augment"),
        teacher=teacher,
    )


def outcomes(
    assignment: Assignment,
    seeds: Sequence[int],
    train: Train,
    report: EpochReport | None = None,
) -> list[Outcome]:
    """Train the students of ``seeds`` (and first their teachers) by ``train``; test each once.

    Raises:
        NotApplicable: the network cannot take these images, or the loss needs other labels.
        Diverged: a student's loss became NaN or infinite.
    """
    start, test = time.perf_counter(), assignment.test
    peak, epochs = Peak(test.device), assignment.recipe.epochs

    def done(student: int, epoch: int) -> None:
        if report:
            report(seeds[student], epoch, epochs)

    teachers = _teachers(assignment, seeds, train)
    students = [
        _start(assignment, ("student", seed), teacher)
        for seed, teacher in zip(seeds, teachers, strict=True)
    ]
    losses = train(assignment, students, peak, done)
    correct = [
        (predictions(student.network, test, assignment.recipe.precision) == test.labels).numpy()
        for student in students
    ]
    synchronize(test.device)
    seconds = (time.perf_counter() - start) / len(seeds)
    return [
        Outcome(
            seed=seed,
            accuracy=float(right.mean()),
            loss=loss,
            correct=np.packbits(right).tobytes(),
            seconds=seconds,
            peak_bytes=peak.bytes,
        )
        for seed, right, loss in zip(seeds, correct, losses, strict=True)
    ]


def _teachers(
    assignment: Assignment, seeds: Sequence[int], train: Train
) -> Sequence[nn.Module | None]:
    """A teacher for each seed, trained in the students' way; none where the recipe has none."""
    alone = assignment.of_the_teachers()
    if alone is None:
        return [None] * len(seeds)
    teachers = [_start(alone, ("teacher", seed)) for seed in seeds]
    train(alone, teachers, Peak(assignment.test.device), lambda student, epoch: None)
    return [teacher.network.requires_grad_(False).eval() for teacher in teachers]


def _start(
    assignment: Assignment, scope: tuple[str | int, ...], teacher: nn.Module | None = None
) -> Training:
    return start_training(
        assignment.source, assignment.network, assignment.recipe, assignment.test, scope, teacher
    )
