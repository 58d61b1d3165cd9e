"""PyTorch's default initialisation, drawn from a generator of ours."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import init

from bench.errors import ContractError

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


def initialise(network: nn.Module, rng: torch.Generator) -> None:
    """Fill every parameter and buffer of ``network`` in place, module by module.

    Convolutions and linear layers: weight and bias U(-1/√fan_in, 1/√fan_in), which for the weight
    is Kaiming-uniform with a = √5. Norms: scale 1, shift 0, fresh running statistics. A module with
    a method ``initialise(rng)`` fills its own.

    Raises:
        ContractError: a module has parameters or buffers that none of these rules fills.
    """
    for module in network.modules():
        own = getattr(module, "initialise", None)
        if own is not None:
            own(rng)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            _uniform(module, rng)
        elif isinstance(module, _NORMS):
            module.reset_parameters()  # constants: nothing is drawn
        elif [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
            raise ContractError(
                f"{type(module).__name__} has parameters or buffers that no rule initialises; "
                f"give the module a method initialise(rng) that fills them."
            )


def _uniform(layer: nn.Conv2d | nn.Linear, rng: torch.Generator) -> None:
    bound = 1 / math.sqrt(layer.weight[0].numel())
    for parameter in layer.parameters(recurse=False):
        init.uniform_(parameter, -bound, bound, generator=rng)
