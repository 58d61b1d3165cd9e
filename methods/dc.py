"""DC: dataset condensation with gradient matching. Zhao et al., ICLR 2021, arXiv:2006.05929.

Its second card is DSA: Zhao & Bilen, ICML 2021, arXiv:2102.08259, which starts from real images and
matches under differentiable siamese augmentation. The release runs both by one loop, and so do we.

Follows VICO-UoE/DatasetCondensation@53f63a6, main.py.
Differs: networks, batches and augmentations are drawn from the trial's seed; the release seeds
networks from the clock. See also :mod:`bench.condensation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from bench.condensation import Condensation, CondensationState


@dataclass(frozen=True, kw_only=True)
class DatasetCondensation(Condensation):
    """Match gradients of real and synthetic batches along the training of fresh networks."""

    def step(self, state: CondensationState) -> Mapping[str, Tensor]:
        """Algorithm 1 for one initialisation of the network."""
        return self.condense(state.task.fresh_network(), state)
