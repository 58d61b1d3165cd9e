"""Plain re-implementations that tests compare the suite with: loops and formulas, nothing shared.

What they do share is what defines a draw: the generators' scopes and the augmentations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import augment, networks
from bench.data import SyntheticSet
from bench.randomness import generator
from bench.recipes import Recipe
from bench.specs import DatasetSpec

Array = NDArray[np.float64]


def softmax(logits: Array) -> Array:
    """Row-wise."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    ratio: Array = shifted / shifted.sum(1, keepdims=True)
    return ratio


def cross_entropy(logits: Array, targets: Array) -> float:
    """Mean over rows; ``targets`` are probabilities."""
    return float(-(targets * np.log(softmax(logits))).sum(1).mean())


def divergence(teacher: Array, student: Array) -> float:
    """KL(teacher ‖ student) of two tables of probabilities, mean over rows."""
    return float((teacher * (np.log(teacher) - np.log(student))).sum(1).mean())


def step_schedule(recipe: Recipe, start: float) -> list[float]:
    """Learning rate of each epoch: a tenth once ``epochs // 2 + 1`` epochs are done."""
    rates = []
    for done in range(recipe.epochs):
        rates.append(start if done < recipe.epochs // 2 + 1 else start / 10)
    return rates


def train(
    source: SyntheticSet,
    network: str,
    recipe: Recipe,
    spec: DatasetSpec,
    scope: Sequence[str | int],
    teacher: nn.Module | None = None,
    dtype: torch.dtype = torch.float32,
) -> nn.Module:
    """SGD with momentum and weight decay on hard labels, written out parameter by parameter."""
    student = networks.build(network, spec, generator(*scope, "weights"), dtype=dtype)
    change = augment.build(recipe.augmentation, spec)
    shuffle, augmenting = generator(*scope, "shuffle"), generator(*scope, "augment")
    parameters = list(student.parameters())
    velocity = [torch.zeros_like(parameter) for parameter in parameters]
    for rate in step_schedule(recipe, recipe.lr):
        order = torch.randperm(len(source), generator=shuffle).tolist()
        for start in range(0, len(order), recipe.batch):
            chosen = order[start : start + recipe.batch]
            images = change(source.images[chosen].to(dtype), augmenting)
            loss = _loss(student, teacher, images, source.labels[chosen], recipe)
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for p, v, g in zip(parameters, velocity, gradients, strict=True):
                    v.mul_(recipe.momentum).add_(g + recipe.weight_decay * p)
                    p.sub_(rate * v)
    return student.eval()


def _loss(
    student: nn.Module, teacher: nn.Module | None, images: Tensor, labels: Tensor, recipe: Recipe
) -> Tensor:
    logits = student(images)
    picked = logits.log_softmax(1)[range(len(labels)), labels.tolist()]
    loss: Tensor = -picked.mean()
    if teacher is None or recipe.distillation is None:
        return loss
    rule = recipe.distillation
    with torch.no_grad():
        goal = (teacher(images) / rule.temperature).softmax(1)
    ours = (logits / rule.temperature).log_softmax(1)
    apart: Tensor = (goal * (goal.log() - ours)).sum(1).mean()
    return (1 - rule.alpha) * loss + rule.alpha * rule.temperature**2 * apart
