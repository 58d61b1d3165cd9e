"""Herding: greedily keep the mean of what is selected near the mean of the class.

Welling, ICML 2009; for core-sets as in iCaRL (Rebuffi et al., CVPR 2017, arXiv:1611.07725,
algorithm 4).

Differs: the nearest image is taken; DeepCore's release takes the farthest of a true distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.selection import CoreSet


def herd(features: Tensor, count: int) -> Tensor:
    """Positions whose running mean stays nearest to the mean of all, in the order chosen.

    Step t takes argmin over x not yet taken of ‖(t + 1) μ - Σ selected - x‖.

    Args:
        features: ``(n, D)``.
        count: how many to take, at most n.
    """
    mean, total = features.mean(0), torch.zeros_like(features[0])
    taken = torch.zeros(len(features), dtype=torch.bool, device=features.device)
    order = []
    for step in range(count):
        distance = ((step + 1) * mean - total - features).norm(dim=1)
        best = distance.masked_fill(taken, torch.inf).argmin(keepdim=True)
        taken[best] = True
        total = total + features[best]
        order.append(best)
    return torch.cat(order)


@dataclass(frozen=True, kw_only=True)
class Herding(CoreSet):
    """Herding in the feature space of a trained network."""

    def select(self, features: Tensor, count: int) -> Tensor:
        """See :func:`herd`."""
        return herd(features, count)
