"""Parameters as one flat vector and back, for trajectories and functional calls.

The order is that of ``network.parameters()``, fixed by the network's name and the dataset. Buffers
(running statistics of batch norm) are not parameters and not in the vector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.errors import InvalidValue


def flatten(network: nn.Module) -> Tensor:
    """All parameters in one detached vector ``(P,)``.

    It never shares memory with the network: ``cat`` copies even a single tensor, where ``detach``
    alone would let every snapshot follow the training.
    """
    return torch.cat([parameter.detach().reshape(-1) for parameter in network.parameters()])


def parameter_shapes(network: nn.Module) -> dict[str, torch.Size]:
    """Name and shape of every parameter, in the order of :func:`flatten`."""
    return {name: parameter.shape for name, parameter in network.named_parameters()}


def unflatten(network: nn.Module, flat: Tensor) -> dict[str, Tensor]:
    """Cut ``(P,)`` into named parameters, as ``torch.func.functional_call`` takes them.

    The pieces are views: gradients flow back to ``flat``.

    Raises:
        InvalidValue: ``flat`` has another length than the network has parameters.
    """
    shapes = parameter_shapes(network)
    sizes = [shape.numel() for shape in shapes.values()]
    if flat.shape != (sum(sizes),):
        raise InvalidValue(
            f"A vector of shape {tuple(flat.shape)} does not fit a network of {sum(sizes)} "
            f"parameters; give ({sum(sizes)},)."
        )
    pieces = zip(shapes.items(), flat.split(sizes), strict=True)
    return {name: piece.view(shape) for (name, shape), piece in pieces}
