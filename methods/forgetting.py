"""Forgetting: keep the images that a network in training forgets most often.

Toneva et al., ICLR 2019, arXiv:1812.05159, algorithm 1.

Differs: the trained network is the field's ConvNet under the core-set methods' recipe; selection is
class by class. An image that is never learned counts as forgotten infinitely often, as the paper
says; DeepCore's release counts it 0 times. Of images forgotten equally often the one that comes
first in the dataset is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench import augment
from bench.augment import Augmentation, AugmentationName
from bench.data import SyntheticSet
from bench.networks import Network
from bench.parameters import Count, Rate
from bench.recipes import Recipe
from bench.task import Task
from bench.training import learning_rate


@dataclass(kw_only=True)
class History:
    """What became of each image whenever the network saw it.

    Attributes:
        correct: ``(N,)`` bool: classified correctly at its last visit; false before the first.
        learned: ``(N,)`` bool: classified correctly at any visit.
        forgotten: ``(N,)`` int64: visits that found it wrong after the visit before found it right.
    """

    correct: Tensor
    learned: Tensor
    forgotten: Tensor

    @classmethod
    def start(cls, count: int, device: torch.device) -> History:
        """The history of ``count`` images that have not been visited."""
        never = torch.zeros(count, dtype=torch.bool, device=device)
        return cls(
            correct=never,
            learned=never.clone(),
            forgotten=torch.zeros(count, dtype=torch.int64, device=device),
        )

    def visit(self, index: Tensor, correct: Tensor) -> None:
        """Note whether the images at ``index (n,)``, each there once, are ``correct (n,)`` now."""
        self.forgotten[index] += self.correct[index] & ~correct
        self.learned[index] |= correct
        self.correct[index] = correct

    def scores(self) -> Tensor:
        """How often each image was forgotten, ``(N,)`` float32; infinity if never learned."""
        return self.forgotten.float().masked_fill(~self.learned, torch.inf)


@dataclass(kw_only=True)
class ForgettingState:
    """The network in training and what it forgot so far."""

    task: Task
    network: Network
    optimizer: torch.optim.SGD
    augmentation: Augmentation
    history: History
    epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class Forgetting:
    """Rank each class by forgetting events along one training on real images."""

    teacher_epochs: Count
    teacher_lr: Rate
    teacher_augmentation: AugmentationName

    @property
    def steps(self) -> int:
        """One epoch a step: no other method can use this training, so it is on the clock."""
        return self.teacher_epochs

    @property
    def _recipe(self) -> Recipe:
        return Recipe(
            epochs=self.teacher_epochs, lr=self.teacher_lr, augmentation=self.teacher_augmentation
        )

    def prepare(self, task: Task) -> ForgettingState:
        """A fresh network and an empty history.

        Raises:
            NotApplicable: a class has fewer real images than the budget asks for.
        """
        task.require_real_images()
        network, recipe = task.fresh_network(), self._recipe
        optimizer = torch.optim.SGD(
            network.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        return ForgettingState(
            task=task,
            network=network,
            optimizer=optimizer,
            augmentation=augment.build(recipe.augmentation, task.spec, task.real.preprocessing),
            history=History.start(len(task.real), task.device),
        )

    def step(self, state: ForgettingState) -> Mapping[str, Tensor]:
        """Train one epoch; each mini-batch's predictions are noted before the network learns it."""
        real, rng = state.task.real, state.task.rng
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(self._recipe, self._recipe.lr, state.epoch)
        loss = torch.zeros(())
        for index in torch.randperm(len(real), generator=rng).split(self._recipe.batch):
            labels = real.targets(index)
            logits = state.network(state.augmentation(real.images(index), rng))
            loss = F.cross_entropy(logits, labels)
            place = index.to(labels.device, non_blocking=True)
            state.history.visit(place, logits.argmax(1) == labels)
            state.optimizer.zero_grad()
            loss.backward()
            state.optimizer.step()
        state.epoch += 1
        return {"loss": loss.detach(), "forgotten": state.history.forgotten.float().mean()}

    def result(self, state: ForgettingState) -> SyntheticSet:
        """The most forgotten images of each class with their own labels."""
        scores, real = state.history.scores().cpu(), state.task.real
        chosen = [
            members[most_forgotten(scores[members], state.task.budget.count)]
            for members in real.class_indices
        ]
        return real.subset(torch.cat(chosen))


def most_forgotten(scores: Tensor, count: int) -> Tensor:
    """Positions of the ``count`` highest ``scores (n,)``; the first of equal ones comes first."""
    return scores.argsort(descending=True, stable=True)[:count]
