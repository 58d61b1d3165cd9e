"""DC: dataset condensation with gradient matching. Zhao et al., ICLR 2021, arXiv:2006.05929.

Follows VICO-UoE/DatasetCondensation@53f63a6, main.py.
Differs: networks, batches and augmentations are drawn from the trial's seed; the release seeds
networks from the clock. Each class is back-propagated as soon as it is matched and the images step
once, which gives the gradient of the summed loss with one class's graph alive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench import augment
from bench.augment.differentiable import DifferentiableAugmentation
from bench.data import SyntheticSet
from bench.matching import gradient_distance, settle_batch_norm
from bench.networks import Network
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


@dataclass(frozen=True, kw_only=True)
class DatasetCondensation:
    """Match gradients of real and synthetic batches along the training of fresh networks."""

    iterations: int
    outer_loops: int  # matchings along one network's training
    inner_epochs: int  # epochs on the synthetic set between two matchings
    lr_images: float
    momentum: float
    lr_student: float
    batch_real: int  # real images per class and matching
    batch_syn: int  # synthetic images in one student step
    init: str  # "noise" or "real"
    augmentation: str  # siamese while matching, per image while training

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

    def step(self, state: CondensationState) -> Mapping[str, Tensor]:
        """Algorithm 1 for one initialisation of the network."""
        network = self._fresh_network(state.task)
        total = torch.zeros((), device=state.images.device)
        for outer in range(self.outer_loops):
            if outer:
                self._train(network, state)
            state.optimizer.zero_grad()
            for label in range(state.task.spec.num_classes):
                loss = self._distance(network, state, label)
                loss.backward(inputs=[state.images])
                total += loss.detach()
            state.optimizer.step()
        return {"loss": total / self.outer_loops}

    def _fresh_network(self, task: Task) -> Network:
        network = task.fresh_network()
        settling = [
            task.real.draw_class(label, SETTLING_IMAGES, task.rng)
            for label in range(task.spec.num_classes)
        ]
        settle_batch_norm(network, torch.cat(settling))
        return network

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


def _gradient(
    network: Network, images: Tensor, label: int, *, keep_graph: bool
) -> tuple[Tensor, ...]:
    """∇ of the cross-entropy with respect to every parameter."""
    labels = torch.full((len(images),), label, device=images.device)
    loss = F.cross_entropy(network(images), labels)
    return torch.autograd.grad(loss, list(network.parameters()), create_graph=keep_graph)
