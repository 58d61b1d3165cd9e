"""Converged teachers: a pool of experts to draw from, and the labels they give."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.networks import Network
from bench.randomness import choose
from bench.recipes import Recipe
from bench.task import Task
from bench.training import TEST_BATCH


@dataclass(frozen=True, kw_only=True)
class TeacherPool:
    """Teachers of one recipe, shared by every distillation seed.

    They are fetched from the expert buffers one at a time, so that a hundred of them take the
    memory of one.

    Attributes:
        task: what is distilled; its network is the teachers' architecture.
        recipe: how they are trained on the real images.
        count: how many there are.
    """

    task: Task
    recipe: Recipe
    count: int

    def __getitem__(self, index: int) -> Network:
        """Teacher ``index``, from 0, after its last epoch: frozen, in eval mode."""
        return self.task.experts.teacher(self.task.network, self.recipe, index)

    def draw(self) -> Network:
        """A teacher drawn uniformly."""
        return self[choose(self.count, self.task.rng)]


@torch.no_grad()
def soft_labels(teacher: nn.Module, images: Tensor) -> Tensor:
    """The teacher's logits of ``images (N, C, H, W)``, ``(N, K)``; no graph is kept."""
    return torch.cat([teacher(part) for part in images.split(TEST_BATCH)])
