"""Losses between real and synthetic batches that several methods share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

EPSILON = 1e-6
"""In the denominator alone: a row without gradient counts as orthogonal, a constant 1."""


def matched_parameters(network: nn.Module) -> list[nn.Parameter]:
    """The parameters whose gradients :func:`gradient_distance` compares: those with rows.

    Nobody asks for the gradients of biases, so that neither they nor their own derivatives need be
    computed.
    """
    return [parameter for parameter in network.parameters() if parameter.ndim > 1]


def gradient_distance(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """Σ over weights and their output rows of 1 - cos (DC, equation 9 as released).

    Convolution rows are flattened to ``in * h * w``. Tensors of rank 1 (biases, affine
    normalisation) are skipped; a ``C × H × W`` affine of layer norm has its channels as rows.

    Args:
        real: gradients of the real batch, one a parameter, constant.
        synthetic: gradients of the synthetic batch with their graph, in the same order.

    Returns:
        A 0-dimensional tensor, at least 0.
    """
    total = synthetic[0].new_zeros(())
    for ours, theirs in zip(synthetic, real, strict=True):
        if ours.ndim < 2:
            continue
        a, b = ours.flatten(1), theirs.flatten(1)
        cosine = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + EPSILON)
        total = total + (1 - cosine).sum()
    return total


@torch.no_grad()
def settle_batch_norm(network: nn.Module, draw: Callable[[], Tensor]) -> None:
    """Update batch-norm statistics with one batch and freeze them; others stay in train mode.

    Gradients of class batches cannot be matched while each batch brings its own statistics.

    Args:
        network: a network without batch norm is left alone.
        draw: gives the batch, real images of all classes; called only if it is needed.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    network.train()
    network(draw())
    for norm in norms:
        norm.eval()
