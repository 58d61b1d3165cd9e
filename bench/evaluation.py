"""Evaluate a synthetic source: train fresh students on it, test each once, after its last epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from bench import augment, networks
from bench.data import RealSet, SyntheticSource
from bench.measure import Peak, synchronize
from bench.randomness import generator
from bench.recipes import Recipe
from bench.training import Training, check_finite, predictions

EpochReport = Callable[[int, int, int], None]
"""Called as ``report(seed, epochs_done, epochs)`` after each epoch."""

CHECK_EVERY = 50
"""Epochs between looks at the loss: a diverged student stops early, without a sync a step."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One student's result.

    Attributes:
        seed: evaluation seed.
        accuracy: share of test images labelled correctly, in [0, 1].
        loss: training loss of the last batch.
        correct: one bit a test image, packed, the first image in the highest bit.
        seconds: training and testing, wall clock.
        peak_bytes: peak memory of training.
        metrics: what a protocol adds to the record beside accuracy and loss.
    """

    seed: int
    accuracy: float
    loss: float
    correct: bytes
    seconds: float
    peak_bytes: int
    metrics: Mapping[str, float] = field(default_factory=dict)


def evaluate(
    source: SyntheticSource,
    network: str,
    recipe: Recipe,
    test: RealSet,
    seeds: Sequence[int],
    *,
    report: EpochReport | None = None,
) -> list[Outcome]:
    """Train one fresh student a seed and test it once.

    This is the reference: seeds one after the other, nothing clever. A seed's result does not
    depend on the other seeds.

    Args:
        source: what the students train on; moved to the device of ``test``.
        network: the students' network.
        recipe: how they are trained.
        test: the test images; read here alone, after the last epoch.
        seeds: one student each.
        report: called after each epoch.

    Raises:
        NotApplicable: the network cannot take these images, or the loss needs other labels.
        Diverged: a student's loss became NaN or infinite.
    """
    source = source.to(test.device)
    return [_evaluate_one(source, network, recipe, test, seed, report) for seed in seeds]


def _evaluate_one(
    source: SyntheticSource,
    network: str,
    recipe: Recipe,
    test: RealSet,
    seed: int,
    report: EpochReport | None,
) -> Outcome:
    start = time.perf_counter()
    peak = Peak(test.device)
    teacher = _teacher(source, recipe, test, seed)
    student = start_training(source, network, recipe, test, ("student", seed), teacher)
    loss = train(student, peak, report and (lambda done: report(seed, done, recipe.epochs)))
    correct = (predictions(student.network, test) == test.labels).numpy()
    synchronize(test.device)
    return Outcome(
        seed=seed,
        accuracy=float(correct.mean()),
        loss=loss,
        correct=np.packbits(correct).tobytes(),
        seconds=time.perf_counter() - start,
        peak_bytes=peak.bytes,
    )


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


def train(student: Training, peak: Peak, report: Callable[[int], None] | None = None) -> float:
    """Run every remaining epoch; return the last loss.

    Raises:
        Diverged: the loss became NaN or infinite.
    """
    loss = torch.zeros(())
    while student.epoch < student.recipe.epochs:
        with peak.sample():
            loss = student.run_epoch()
        if student.epoch % CHECK_EVERY == 0:
            check_finite(loss, f"the student at epoch {student.epoch}")
        if report:
            report(student.epoch)
    return check_finite(loss, "the student at its last epoch")


def _teacher(source: SyntheticSource, recipe: Recipe, test: RealSet, seed: int) -> nn.Module | None:
    """The teacher of knowledge distillation: the same recipe and data, without a teacher."""
    rule = recipe.distillation
    if rule is None:
        return None
    alone = replace(recipe, distillation=None)
    teacher = start_training(source, rule.teacher, alone, test, ("teacher", seed))
    train(teacher, Peak(test.device))
    return teacher.network.requires_grad_(False).eval()
