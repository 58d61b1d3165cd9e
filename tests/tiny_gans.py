"""A DiM, and images in [-1, 1], small enough for seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.distillation import Distilled
from bench.generators import SyntheticGenerator
from bench.networks.gan import GanShape
from bench.randomness import generator
from bench.specs import Budget
from bench.task import Task
from methods.dim import DistillIntoModel
from tests.fakes import tiny_task

SHAPE = GanShape(width=3, latent=5, num_classes=3, channels=1, size_px=8)


def adapter(**changes: Any) -> DistillIntoModel:
    """A DiM of two epochs alone and two with matching, each of two batches of 30."""
    small: dict[str, Any] = {
        "width": 4,
        "latent": 6,
        "gan_epochs": 2,
        "matching_epochs": 2,
        "batch_real": 30,
        "lr_generator": 1e-3,
        "lr_matching": 1e-4,
        "matching_weight": 0.5,
        "matched": "logits",
        "pool": "convnet-d1-w4-bn|mlp",
        "student_steps": 1,
        "lr_student": 0.01,
        "augmentation": "color-crop",
    }
    return DistillIntoModel(**small | changes)


def task(folder: Path, *, inpc: int = 2, seed: int = 0) -> Task:
    return replace(tiny_task(folder, seed=seed), budget=Budget("inpc", inpc))


def source(result: Distilled) -> SyntheticGenerator:
    assert isinstance(result.source, SyntheticGenerator)
    return result.source


def equal(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def batch(name: str, count: int = 5) -> tuple[Tensor, Tensor]:
    rng = generator("batch", name)
    images = torch.rand(count, 1, 8, 8, generator=rng, dtype=torch.float64) * 2 - 1
    return images, torch.randint(3, (count,), generator=rng)
