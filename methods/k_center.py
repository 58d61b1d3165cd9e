"""K-Center: a greedy farthest-point cover of each class in feature space.

Sener & Savarese, ICLR 2018, arXiv:1708.00489, algorithm 1.

Differs: the first centre is the image nearest to the class mean (DiM's table 2 has K-Center equal
to Herding at one image per class, which says the same).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.selection import CoreSet


def cover(features: Tensor, count: int) -> Tensor:
    """Positions of ``count`` centres, each the farthest from those before it.

    Args:
        features: ``(n, D)``.
        count: how many to take, at most n.
    """
    newest = (features - features.mean(0)).norm(dim=1).argmin(keepdim=True)
    nearest = torch.full((len(features),), torch.inf, device=features.device)
    order = [newest]
    for _ in range(count - 1):
        nearest = torch.minimum(nearest, (features - features[newest]).norm(dim=1))
        nearest[newest] = -1.0  # taken; duplicates of it stay at 0 and come last
        newest = nearest.argmax(keepdim=True)
        order.append(newest)
    return torch.cat(order)


@dataclass(frozen=True, kw_only=True)
class KCenter(CoreSet):
    """K-Center in the feature space of a trained network."""

    def select(self, features: Tensor, count: int) -> Tensor:
        """See :func:`cover`."""
        return cover(features, count)
