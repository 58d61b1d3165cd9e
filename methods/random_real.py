"""Random: real images drawn uniformly from each class, without replacement.

The baseline of every table of the field.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bench.data import SyntheticSet
from bench.selection import Selection
from bench.task import Task


@dataclass(frozen=True, kw_only=True)
class RandomReal(Selection):
    """Draw ``ipc`` real images of each class."""

    def result(self, state: Task) -> SyntheticSet:
        """The drawn images with their own labels."""
        drawn = [
            members[torch.randperm(len(members), generator=state.rng)[: state.budget.count]]
            for members in state.real.class_indices
        ]
        return state.real.subset(torch.cat(drawn))
