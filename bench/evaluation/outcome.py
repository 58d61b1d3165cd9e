"""What an evaluation is given and what it hands back, whichever strategy trains the students."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from bench.data import RealSet, SyntheticSet, SyntheticSource
from bench.generators import SyntheticGenerator
from bench.recipes import Recipe

EpochReport = Callable[[int, int, int], None]
"""Called as ``report(seed, epochs_done, epochs)`` after each epoch."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Assignment:
    """What a student is told to do.

    Attributes:
        source: what it trains on, on the device of ``test``.
        network: its architecture.
        recipe: how it is trained.
        test: the test images; read after the last epoch alone.
    """

    source: SyntheticSource
    network: str
    recipe: Recipe
    test: RealSet

    def of_the_teacher(self) -> Assignment | None:
        """The teacher of knowledge distillation: same recipe and data, without a teacher."""
        rule = self.recipe.distillation
        if rule is None:
            return None
        return replace(self, network=rule.teacher, recipe=replace(self.recipe, distillation=None))

    @property
    def kind(self) -> Hashable:
        """Equal for assignments whose students can be trained as one program.

        Their batches have the same shapes; sources and learning rates may differ.
        """
        recipe = replace(self.recipe, lr=1.0, learned_lr=False)
        return self.network, recipe, id(self.test), _shapes(self.source)


def _shapes(source: SyntheticSource) -> Hashable:
    """What decides the shapes of a source's batches; the source itself where that is not known."""
    if isinstance(source, SyntheticSet):
        return source.images.shape, source.labels.shape
    if isinstance(source, SyntheticGenerator):
        return source.shape, source.per_class
    return id(source)


class Candidate(NamedTuple):
    """A student to be trained and tested.

    Attributes:
        assignment: what it is told to do.
        seed: decides initial weights, order and augmentation.
    """

    assignment: Assignment
    seed: int


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
