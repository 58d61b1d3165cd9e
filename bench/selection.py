"""What methods share that select real images instead of making new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.augment import AugmentationName
from bench.data import SyntheticSet
from bench.experts import Expert
from bench.networks import Network
from bench.parameters import Count, Rate
from bench.recipes import Recipe
from bench.task import Task
from bench.training import TEST_BATCH


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A method without steps; an adapter adds ``result``."""

    @property
    def steps(self) -> int:
        """Nothing to optimise."""
        return 0

    def prepare(self, task: Task) -> Any:
        """Nothing to prepare: the task is the state.

        Raises:
            NotApplicable: a class has fewer real images than the budget asks for.
        """
        task.require_real_images()
        return task

    def step(self, state: Any) -> Mapping[str, Tensor]:
        """Never called: there are no steps."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Chooser:
    """What a core-set method chooses from, and the eyes that look at it."""

    task: Task
    teacher: Network


@dataclass(frozen=True, kw_only=True)
class CoreSet(Selection):
    """Selection class by class in the features of a network trained on the whole training set.

    Each distillation seed has a teacher of its own, so that the spread over seeds covers it. An
    adapter adds ``select``.
    """

    teacher_epochs: Count
    teacher_lr: Rate
    teacher_augmentation: AugmentationName

    @property
    def recipe(self) -> Recipe:
        """How teachers are trained."""
        return Recipe(
            epochs=self.teacher_epochs, lr=self.teacher_lr, augmentation=self.teacher_augmentation
        )

    def wanted_experts(self, network: str, seed: int) -> list[Expert]:
        """The teacher of this seed."""
        return [Expert(network, self.recipe, seed)]

    def prepare(self, task: Task) -> Chooser:
        """Train or fetch the teacher of this seed."""
        super().prepare(task)
        teacher = task.experts.teacher(task.network, self.recipe, task.seed)
        return Chooser(task=task, teacher=teacher)

    def select(self, features: Tensor, count: int) -> Tensor:
        """Positions ``(count,)`` of the chosen among ``features (n, D)`` of one class."""
        raise NotImplementedError

    def result(self, state: Chooser) -> SyntheticSet:
        """The selected images with their own labels."""
        task, chosen = state.task, []
        for members in task.real.class_indices:
            seen = embed(state.teacher, task, members)
            positions = self.select(seen, task.budget.count)
            chosen.append(members[positions.cpu()])
        return task.real.subset(torch.cat(chosen))


@torch.no_grad()
def embed(network: Network, task: Task, index: Tensor) -> Tensor:
    """Penultimate features of the images at ``index``, ``(n, D)`` on the task's device."""
    parts = index.split(TEST_BATCH)
    return torch.cat([network.embed(task.real.images(part)) for part in parts])
