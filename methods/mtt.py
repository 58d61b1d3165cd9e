"""MTT: matching training trajectories. Cazenavette et al., CVPR 2022, arXiv:2203.11932.

Follows GeorgeCazenavette/mtt-distillation@50dccea, distill.py and buffer.py.
Differs: experts, batches and augmentations are drawn from the trial's seed; the last iterate is
handed over, not the best on test data; the learned learning rate is kept positive; a step whose
loss is no number changes nothing. The gradient is exact in all but the ``two-pass`` variant:
``adjoint`` equals ``unrolled`` with one step's graph in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.trajectories import TrajectoryMatching


@dataclass(frozen=True, kw_only=True)
class TrainingTrajectories(TrajectoryMatching):
    """Match segments of expert trajectories with a student's steps on the synthetic set."""
