"""From candidates to outcomes: fresh students, trained by whichever strategy, each tested once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from bench import augment, networks
from bench.data import RealSet, SyntheticSource
from bench.evaluation.outcome import Assignment, Candidate, EpochReport, Outcome
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
    candidates: Sequence[Candidate], train: Train, report: EpochReport | None = None
) -> list[Outcome]:
    """Train students of one kind (and first their teachers) by ``train``; test each once.

    Raises:
        NotApplicable: the network cannot take these images, or the loss needs other labels.
        Diverged: a student's loss became NaN or infinite.
    """
    start, assignment = time.perf_counter(), candidates[0].assignment
    peak, epochs = Peak(assignment.test.device), assignment.recipe.epochs

    def done(student: int, epoch: int) -> None:
        if report:
            report(candidates[student].seed, epoch, epochs)

    teachers = _teachers(candidates, train)
    students = [
        _start(candidate, "student", teacher)
        for candidate, teacher in zip(candidates, teachers, strict=True)
    ]
    losses = train(assignment, students, peak, done)
    correct = [_correct(student, assignment) for student in students]
    synchronize(assignment.test.device)
    seconds = (time.perf_counter() - start) / len(candidates)
    return [
        Outcome(
            seed=candidate.seed,
            accuracy=float(right.mean()),
            loss=loss,
            correct=np.packbits(right).tobytes(),
            seconds=seconds,
            peak_bytes=peak.bytes,
        )
        for candidate, right, loss in zip(candidates, correct, losses, strict=True)
    ]


def _correct(student: Training, assignment: Assignment) -> NDArray[np.bool_]:
    """Whether each test image is labelled correctly."""
    test = assignment.test
    found = predictions(student.network, test, assignment.recipe.precision) == test.labels
    right: NDArray[np.bool_] = found.numpy()
    return right


def _teachers(candidates: Sequence[Candidate], train: Train) -> Sequence[nn.Module | None]:
    """A teacher for each candidate, trained in the students' way; none where recipes have none."""
    teachers = [
        Candidate(alone, candidate.seed)
        for candidate in candidates
        if (alone := candidate.assignment.of_the_teacher())
    ]
    if not teachers:
        return [None] * len(candidates)
    alone, trained = teachers[0].assignment, [_start(teacher, "teacher") for teacher in teachers]
    train(alone, trained, Peak(alone.test.device), lambda student, epoch: None)
    return [teacher.network.requires_grad_(False).eval() for teacher in trained]


def _start(candidate: Candidate, role: str, teacher: nn.Module | None = None) -> Training:
    given, scope = candidate.assignment, (role, candidate.seed)
    return start_training(given.source, given.network, given.recipe, given.test, scope, teacher)
