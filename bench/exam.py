"""What a protocol is given to score a synthetic source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from bench.data import RealSet, SyntheticSource
from bench.evaluation import Choice, EpochReport, Outcome, evaluate
from bench.experts import Experts
from bench.recipes import Recipe
from bench.relabelling import relabel


@dataclass(frozen=True, kw_only=True, eq=False)
class Exam:
    """The test images, and what may help to judge: networks trained on the training images.

    Attributes:
        test: the test images; a protocol hands them to students' tests alone.
        experts: networks trained on the training images (``experts.real``), shared with methods.
        report: called after each epoch of a student.
        data_root: where real data and tables of facts lie; ``None`` for the usual places.
        strategy: how students are trained (:mod:`bench.evaluation.engine`).
    """

    test: RealSet
    experts: Experts
    report: EpochReport | None = None
    data_root: Path | None = None
    strategy: Choice = "auto"

    def score(
        self,
        source: SyntheticSource,
        architecture: str,
        recipe: Recipe,
        seed: int,
        teacher: nn.Module | None = None,
    ) -> Outcome:
        """Train one student and test it once, after its last epoch.

        Args:
            source: what the student trains on.
            architecture: the student's network.
            recipe: how it is trained.
            seed: decides initial weights, order and augmentation.
            teacher: labels the images where the recipe asks for a teacher's labels.

        Raises:
            NotApplicable: the network cannot take these images, or the loss needs other labels.
            ContractError: the recipe asks for a teacher's labels and there is no teacher.
            Diverged: the student's loss became NaN or infinite.
        """
        labelled = relabel(source.to(self.test.device), recipe.labels, teacher)
        (outcome,) = evaluate(
            labelled,
            architecture,
            recipe,
            self.test,
            [seed],
            report=self.report,
            strategy=self.strategy,
        )
        return outcome
