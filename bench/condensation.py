"""Condensation by gradient matching: Algorithm 1 of DC for one network, whichever that is.

Zhao et al., ICLR 2021, arXiv:2006.05929; follows VICO-UoE/DatasetCondensation@53f63a6, main.py.
Differs: each class is back-propagated as soon as it is matched and the images step once, which
gives the gradient of the summed loss with one class's graph alive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench import augment
from bench.augment.differentiable import DifferentiableAugmentation, DifferentiableName
from bench.data import SyntheticSet
from bench.matching import gradient_distance, matched_parameters, settle_batch_norm
from bench.networks import Network
from bench.parameters import Count, Init, Momentum, Rate
from bench.recipes import Recipe
from bench.task import Task
from bench.training import Training

SETTLING_IMAGES = 16
"""Real images of each class that batch-norm statistics are taken from, where there are any."""


@dataclass(kw_only=True)
class CondensationState:
    """The images in optimisation."""

    task: Task
    images: Tensor  # (K * ipc, C, H, W), ordered by class
    optimizer: torch.optim.SGD
    augmentation: DifferentiableAugmentation
    networks_matched: int = 0


@dataclass(frozen=True, kw_only=True)
class Condensation:
    """Match gradients of real and synthetic batches along the training of one network a step.

    An adapter adds ``step``, which chooses the network and calls :meth:`condense`.
    """

    iterations: Count
    outer_loops: Count  # matchings along one network's training
    inner_epochs: Count  # epochs on the synthetic set between two matchings
    lr_images: Rate
    momentum: Momentum
    lr_student: Rate
    batch_real: Count  # real images per class and matching
    batch_syn: Count  # synthetic images in one student step
    init: Init
    augmentation: DifferentiableName  # siamese while matching, per image while training

    @property
    def steps(self) -> int:
        """One network a step."""
        return self.iterations

    def prepare(self, task: Task) -> CondensationState:
        """Start from noise or real images."""
        images = task.initial_images(self.init)
        return CondensationState(
            task=task,
            images=images,
            optimizer=torch.optim.SGD([images], lr=self.lr_images, momentum=self.momentum),
            augmentation=augment.build_differentiable(self.augmentation, task.spec),
        )

    def condense(self, network: Network, state: CondensationState) -> Mapping[str, Tensor]:
        """Move the images ``outer_loops`` times along the training of a fresh ``network``."""
        total = torch.zeros((), device=state.images.device)
        for outer in range(self.outer_loops):
            if outer:
                self._train(network, state)
            settle_batch_norm(network, lambda: _all_classes(state.task))
            state.optimizer.zero_grad()
            for label in state.task.classes():
                loss = self._distance(network, state, label)
                loss.backward(inputs=[state.images])
                total += loss.detach()
            state.optimizer.step()
        state.networks_matched += 1
        return {"loss": total / self.outer_loops}

    def _distance(self, network: Network, state: CondensationState, label: int) -> Tensor:
        """Distance of one class's real and synthetic gradients (equation 9)."""
        task = state.task
        real, synthetic = state.augmentation.pair(
            task.real.draw_class(label, self.batch_real, task.rng),
            task.of_class(state.images, label),
            task.rng,
        )
        target = _gradient(network, real, label, keep_graph=False)
        return gradient_distance(target, _gradient(network, synthetic, label, keep_graph=True))

    def _train(self, network: Network, state: CondensationState) -> None:
        """Train the network on the synthetic set, as it is now."""
        recipe = Recipe(
            epochs=self.inner_epochs,
            lr=self.lr_student,
            momentum=0.0,
            weight_decay=0.0,
            batch=self.batch_syn,
            schedule="constant",
        )
        rng = state.task.rng
        student = Training(
            network=network,
            source=self.result(state),
            recipe=recipe,
            augment=state.augmentation,
            shuffle=rng,
            augmenting=rng,
        )
        for _ in range(self.inner_epochs):
            student.run_epoch()

    def result(self, state: CondensationState) -> SyntheticSet:
        """The images with hard labels."""
        return SyntheticSet(images=state.images.detach(), labels=state.task.hard_labels())


def _all_classes(task: Task) -> Tensor:
    """Real images for batch-norm statistics, ``(K * SETTLING_IMAGES, C, H, W)``."""
    labels = range(task.spec.num_classes)
    return torch.cat([task.real.draw_class(label, SETTLING_IMAGES, task.rng) for label in labels])


def _gradient(
    network: Network, images: Tensor, label: int, *, keep_graph: bool
) -> tuple[Tensor, ...]:
    """∇ of the cross-entropy with respect to every parameter that is matched."""
    labels = torch.full((len(images),), label, device=images.device)
    loss = F.cross_entropy(network(images), labels)
    return torch.autograd.grad(loss, matched_parameters(network), create_graph=keep_graph)
