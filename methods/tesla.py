"""TESLA: trajectory matching in constant memory. Cui et al., ICML 2023, arXiv:2211.10586.

Follows the paper, algorithm 1 and equation 6, beside its release justincui03/tesla@488842e.
Differs: the image gradient has equation 6's factor 2 (the release multiplies a tuple by it, so that
its ``lr_images`` acts as half). Otherwise as ``mtt``. The paper calls its gradient identical to
back-propagation through all steps. It is not: equation 6 holds every step's parameters constant
(``bench.unrolling``), and ``gradient = "adjoint"`` is exact at the same memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.task import Task
from bench.trajectories import Match, MatchingState, TrajectoryMatching, logits_at

CERTAIN = 10.0
"""Logit of an image's own class before an expert has been asked (appendix A.6)."""


@dataclass(frozen=True, kw_only=True)
class Tesla(TrajectoryMatching):
    """MTT's loss with the two-pass gradient and, for many classes, labels by the target expert."""

    soft_labels: bool

    def start(self, task: Task) -> tuple[Tensor, Tensor]:
        """Initial images, with hard labels or logits that say the same."""
        images, labels = super().start(task)
        if not self.soft_labels:
            return images, labels
        return images, CERTAIN * F.one_hot(labels, task.spec.num_classes).to(torch.float32)

    def labels(self, state: MatchingState, match: Match) -> Tensor:
        """Soft label assignment (section 3.4): the target parameters label the clean images.

        As in the release, the labels of the last segment are those that are handed over.
        """
        if self.soft_labels:
            state.labels = logits_at(state, match.target, state.images.value)
        return state.labels
