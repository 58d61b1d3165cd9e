"""The oracle: one student after the other by the plain loop, nothing clever.

Every other strategy is held against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from bench.evaluation.outcome import Assignment
from bench.evaluation.students import EpochsDone
from bench.measure import Peak
from bench.recipes import Recipe
from bench.training import Training, check_finite

CHECK_EVERY = 50
"""Epochs between looks at the loss: a diverged student stops early, without a sync a step."""


class Trainable(Protocol):
    """What trains epoch by epoch: one student, or several together."""

    recipe: Recipe

    @property
    def epoch(self) -> int:
        """Epochs done."""

    def run_epoch(self) -> Tensor:
        """Train one epoch; return the loss of its last batch, or the sum of several losses."""


def train_all(
    assignment: Assignment, students: Sequence[Training], peak: Peak, report: EpochsDone
) -> list[float]:
    """Train each student to its last epoch; return their last losses.

    Raises:
        Diverged: a loss became NaN or infinite.
    """
    return [
        train(student, peak, lambda epoch, place=place: report(place, epoch))  # type: ignore[misc]
        for place, student in enumerate(students)
    ]


def train(student: Trainable, peak: Peak, report: Callable[[int], None] | None = None) -> float:
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
