"""What an evaluation is given and what it hands back, whichever strategy trains the students."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from bench.data import RealSet, SyntheticSource
from bench.recipes import Recipe

EpochReport = Callable[[int, int, int], None]
"""Called as ``report(seed, epochs_done, epochs)`` after each epoch."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Assignment:
    """What all students of an evaluation have in common.

    Attributes:
        source: what they train on, on the device of ``test``.
        network: their architecture.
        recipe: how they are trained.
        test: the test images; read after the last epoch alone.
    """

    source: SyntheticSource
    network: str
    recipe: Recipe
    test: RealSet

    def of_the_teachers(self) -> Assignment | None:
        """The teachers of knowledge distillation: same recipe and data, without a teacher."""
        rule = self.recipe.distillation
        if rule is None:
            return None
        return replace(self, network=rule.teacher, recipe=replace(self.recipe, distillation=None))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One student's result.

    Attributes:
        seed: evaluation seed.
        accuracy: share of test images labelled correctly, in [0, 1].
        loss: training loss of the last batch.
        correct: one bit a test image, packed, the first image in the highest bit.
        seconds: training and testing, wall clock; an equal share where students train together.
        peak_bytes: peak memory of training, of all that train together.
        strategy: how the engine trained it (:mod:`bench.evaluation.engine`).
        metrics: what a protocol adds to the record beside accuracy and loss.
    """

    seed: int
    accuracy: float
    loss: float
    correct: bytes
    seconds: float
    peak_bytes: int
    strategy: str = "reference"
    metrics: Mapping[str, float] = field(default_factory=dict)
