"""What a protocol is given to score synthetic sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import nn

from bench.data import RealSet, SyntheticSource
from bench.evaluation import (
    Assignment,
    Candidate,
    Choice,
    EpochReport,
    Outcome,
    evaluate_candidates,
)
from bench.experts import Experts
from bench.recipes import Recipe
from bench.relabelling import relabel
from bench.trials import Trial


class Entry(NamedTuple):
    """What is to be scored for one trial.

    Attributes:
        trial: says which student is trained how.
        source: what the student trains on.
        teacher: labels the images where the trial's recipe asks for a teacher's labels.
    """

    trial: Trial
    source: SyntheticSource
    teacher: nn.Module | None = None


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
        (outcome,) = self._outcomes([self._candidate(source, architecture, recipe, seed, teacher)])
        return outcome

    def score_all(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Train a student for each entry as its trial says, alike ones together where that pays.

        Raises:
            NotApplicable, ContractError, Diverged: as :meth:`score`, for one of them.
        """
        return self._outcomes(
            [
                self._candidate(
                    entry.source,
                    entry.trial.architecture,
                    entry.trial.recipe,
                    entry.trial.seed,
                    entry.teacher,
                )
                for entry in entries
            ]
        )

    def _candidate(
        self,
        source: SyntheticSource,
        architecture: str,
        recipe: Recipe,
        seed: int,
        teacher: nn.Module | None,
    ) -> Candidate:
        labelled = relabel(source.to(self.test.device), recipe.labels, teacher)
        given = Assignment(source=labelled, network=architecture, recipe=recipe, test=self.test)
        return Candidate(given, seed)

    def _outcomes(self, candidates: Sequence[Candidate]) -> list[Outcome]:
        return evaluate_candidates(candidates, report=self.report, strategy=self.strategy)
