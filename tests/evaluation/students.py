"""Students of the tiny dataset, trained by a strategy, for tests to compare."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench import networks
from bench.data import SyntheticSet, SyntheticSource
from bench.evaluation import Assignment, start_training
from bench.evaluation.students import Train
from bench.measure import Peak
from bench.randomness import generator
from bench.recipes import KnowledgeDistillation, Recipe
from bench.training import Training
from tests.fakes import NETWORK, SPEC, tiny_pair

CPU = torch.device("cpu")

# 9 images in batches of 4: the last batch of an epoch has one; 7 epochs are 21 steps
PLAIN = Recipe(epochs=7, lr=0.05, batch=4, augmentation="none")
DISTILLED = KnowledgeDistillation(teacher="mlp", alpha=0.7, temperature=2.0)


def hard_set(dtype: torch.dtype = torch.float32) -> SyntheticSet:
    images = torch.randn(9, *SPEC.shape, generator=generator("hard set"), dtype=dtype)
    return SyntheticSet(images=images, labels=torch.arange(3).repeat_interleave(3))


def soft_set(dtype: torch.dtype = torch.float32) -> SyntheticSet:
    logits = torch.randn(9, 3, generator=generator("soft labels"), dtype=dtype)
    return SyntheticSet(images=hard_set(dtype).images, labels=logits, learning_rate=0.02)


def assignment(
    recipe: Recipe = PLAIN, source: SyntheticSource | None = None, network: str = NETWORK
) -> Assignment:
    return Assignment(
        source=source or hard_set(), network=network, recipe=recipe, test=tiny_pair().test
    )


def trained(
    train: Train,
    given: Assignment,
    seeds: Sequence[int],
    dtype: torch.dtype = torch.float32,
) -> tuple[list[Tensor], list[float]]:
    """All numbers of each student after training by ``train``, and their last losses."""
    teachers: list[nn.Module | None] = [None] * len(seeds)
    if given.recipe.distillation is not None:
        teachers = [_teacher(seed, dtype) for seed in seeds]
    students = [
        _student(given, seed, teacher, dtype) for seed, teacher in zip(seeds, teachers, strict=True)
    ]
    losses = train(given, students, Peak(CPU), lambda student, epoch: None)
    return [_numbers(student) for student in students], list(losses)


def _student(
    given: Assignment, seed: int, teacher: nn.Module | None, dtype: torch.dtype
) -> Training:
    scope = ("student", seed)
    student = start_training(given.source, given.network, given.recipe, given.test, scope, teacher)
    student.network.to(dtype)
    return student


def _teacher(seed: int, dtype: torch.dtype) -> nn.Module:
    network = networks.build("mlp", SPEC, generator("teacher", seed), dtype=dtype)
    return network.requires_grad_(False).eval()


def _numbers(student: Training) -> Tensor:
    network = student.network
    tensors = [*network.parameters(), *network.buffers()]
    return torch.cat([tensor.detach().double().flatten() for tensor in tensors])
