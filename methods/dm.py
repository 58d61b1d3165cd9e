"""DM: distribution matching. Zhao & Bilen, WACV 2023, arXiv:2110.04181.

Follows VICO-UoE/DatasetCondensation@53f63a6, main_DM.py.
Differs: networks and augmentations are drawn from the trial's seed; the release seeds both from
the clock. All classes of a segment share one forward pass, which changes nothing for networks
whose normalisation sees one image at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bench import augment
from bench.augment.differentiable import DifferentiableAugmentation, DifferentiableName
from bench.data import SyntheticSet
from bench.networks import Network
from bench.parameters import Count, Init, Momentum, Rate
from bench.task import Task


@dataclass(kw_only=True)
class MatchingState:
    """The images in optimisation."""

    task: Task
    images: Tensor  # (K * ipc, C, H, W), ordered by class
    optimizer: torch.optim.SGD
    augmentation: DifferentiableAugmentation


@dataclass(frozen=True, kw_only=True)
class DistributionMatching:
    """Match class means of real and synthetic features under random, untrained networks."""

    iterations: Count
    lr_images: Rate
    momentum: Momentum
    batch_real: Count  # real images per class and iteration
    segment: Count  # images processed at once; the same gradient unless batch norm mixes them
    init: Init
    augmentation: DifferentiableName

    @property
    def steps(self) -> int:
        """One network a step."""
        return self.iterations

    def prepare(self, task: Task) -> MatchingState:
        """Start from real images or noise."""
        images = task.initial_images(self.init)
        optimizer = torch.optim.SGD([images], lr=self.lr_images, momentum=self.momentum)
        augmentation = augment.build_differentiable(self.augmentation, task.spec)
        return MatchingState(
            task=task, images=images, optimizer=optimizer, augmentation=augmentation
        )

    def step(self, state: MatchingState) -> Mapping[str, Tensor]:
        """Σ_c ‖mean ψ(A(real_c)) - mean ψ(A(synthetic_c))‖² for one random ψ (DM, equation 5)."""
        network = state.task.fresh_network().requires_grad_(False)
        state.optimizer.zero_grad()
        total = torch.zeros((), device=state.images.device)
        per_class = self.batch_real + state.task.budget.count
        at_once, classes = max(1, self.segment // per_class), range(state.task.spec.num_classes)
        for first in classes[::at_once]:
            loss = self._loss(network, state, classes[first : first + at_once])
            loss.backward()
            total += loss.detach()
        state.optimizer.step()
        return {"loss": total}

    def _loss(self, network: Network, state: MatchingState, labels: range) -> Tensor:
        task, augmentation = state.task, state.augmentation
        pairs = [
            augmentation.pair(
                task.real.draw_class(label, self.batch_real, task.rng),
                task.of_class(state.images, label),
                task.rng,
            )
            for label in labels
        ]
        with torch.no_grad():
            target = _class_means(network, [real for real, _ in pairs])
        ours = _class_means(network, [synthetic for _, synthetic in pairs])
        return (target - ours).square().sum()

    def result(self, state: MatchingState) -> SyntheticSet:
        """The images with hard labels; labels take no part in the loss."""
        return SyntheticSet(images=state.images.detach(), labels=state.task.hard_labels())


def _class_means(network: Network, batches: list[Tensor]) -> Tensor:
    """Mean features of each batch, ``(len(batches), D)``, in one forward pass."""
    sizes = [len(batch) for batch in batches]
    return torch.stack([part.mean(0) for part in network.embed(torch.cat(batches)).split(sizes)])
