"""Which cells the regression gate runs: small, and one of each kind of method.

A core set says whether evaluation changed; distribution and trajectory matching say whether
distillation did, the latter with expert buffers and unrolled students. Iterations are far too few
for good images, which a gate does not need. A seed repeats on one machine bit by bit and differs
little on another: see :data:`leaderboard.regression.judgement.MARGIN`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.specs import Budget

SEEDS = 6
ONE_IMAGE = Budget("ipc", 1)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A method on a dataset and budget, in the quick tier's standard track.

    Attributes:
        method: entry-point name.
        changes: changed parameters, as texts.
        dataset: dataset name.
        budget: images per class.
        seeds: how many repetitions.
        protocol: entry-point name.
    """

    method: str
    changes: Mapping[str, str] = field(default_factory=dict)
    dataset: str = "digits"
    budget: Budget = ONE_IMAGE
    seeds: int = SEEDS
    protocol: str = "ipc-grid"

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.method}, {self.dataset}, {self.budget}"


GRID = (
    Cell(method="random"),
    Cell(method="dm", changes={"iterations": "20"}),
    Cell(
        method="mtt",
        changes={
            "iterations": "20",
            "experts": "2",
            "teacher_epochs": "5",
            "max_start_epoch": "2",
            "matching_steps": "10",
        },
    ),
)
