"""The work that the gate's times are relative to: students' steps in plain torch.

It uses nothing of the framework, so that a framework that became slower shows; and it is made of
the operators of a small student, so that a slower machine does not.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 60


def seconds() -> float:
    """Wall-clock seconds of :data:`STEPS` training steps of a fixed two-layer network."""
    import torch

    images = torch.linspace(-1, 1, 10 * 16 * 16).reshape(10, 1, 16, 16)
    labels = torch.arange(10)
    weights = [_ramp(32, 1, 3, 3), _ramp(32, 32, 3, 3), _ramp(10, 32 * 4 * 4)]
    start = time.perf_counter()
    for _ in range(STEPS):
        loss = _loss(images, labels, weights)
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.data.sub_(gradient, alpha=0.001)
    return time.perf_counter() - start


def _ramp(*shape: int) -> Tensor:
    import torch

    return torch.linspace(-0.1, 0.1, torch.Size(shape).numel()).reshape(shape).requires_grad_()


def _loss(images: Tensor, labels: Tensor, weights: list[Tensor]) -> Tensor:
    from torch.nn import functional

    features = images
    for weight in weights[:-1]:
        features = functional.conv2d(features, weight, padding=1)
        features = functional.avg_pool2d(functional.group_norm(features, 32).relu(), 2)
    return functional.cross_entropy(functional.linear(features.flatten(1), weights[-1]), labels)
