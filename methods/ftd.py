"""FTD: minimising the accumulated trajectory error. Du et al., CVPR 2023, arXiv:2211.11004.

Follows AngusDujw/FTD-distillation@711532a: MTT on experts trained by sharpness-aware steps, with a
running mean of the images as the result.
Differs: the running mean is evaluated by fresh students (the release goes on training the network
that it has just trained on the raw images). Otherwise as ``mtt``.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.parameters import Share
from bench.task import Task
from bench.trajectories import MatchingState, TrajectoryMatching


@dataclass(frozen=True, kw_only=True)
class FlatTrajectories(TrajectoryMatching):
    """MTT on flat expert trajectories; x̄ ← d x̄ + (1 - d) x after each step is handed over."""

    ema: Share  # d

    def prepare(self, task: Task) -> MatchingState:
        """MTT's start; the running mean begins at the initial images."""
        state = super().prepare(task)
        state.average = state.images.value.clone()
        return state

    def after(self, state: MatchingState) -> None:
        """Move the running mean."""
        assert state.average is not None
        state.average.lerp_(state.images.value, 1 - self.ema)
