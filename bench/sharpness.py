"""Sharpness-aware steps for experts: GSAM with an adaptive perturbation.

Zhuang et al., ICLR 2022 (GSAM), with ASAM's scaling, as FTD trains its experts
(AngusDujw/FTD-distillation@711532a, buffer/gsam/gsam.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_EPSILON = 1e-12


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """How an expert looks around itself.

    Attributes:
        rho: length of the perturbation.
        alpha: how much of the gradient's part along the sharpness alone is taken back.
    """

    rho: float
    alpha: float

    def gradients(
        self, loss: Callable[[], Tensor], parameters: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """The loss at the parameters and the gradients to descend.

        With g_0 = ∇loss(θ), e = ρ θ² g_0 / ‖|θ| g_0‖ and g_1 = ∇loss(θ + e), these are
        g_1 - α g_⊥, where g_⊥ is the part of g_0 orthogonal to g_1.

        Args:
            loss: evaluates one and the same batch at the present parameters.
            parameters: θ; moved and put back in place.
        """
        here = loss()
        first = torch.autograd.grad(here, parameters)
        with torch.no_grad():
            scale = self.rho / (
                _norm([p.abs() * g for p, g in _pairs(parameters, first)]) + _EPSILON
            )
            before = [p.clone() for p in parameters]
            for parameter, gradient in _pairs(parameters, first):
                parameter += scale * parameter.square() * gradient
        second = torch.autograd.grad(loss(), parameters)
        with torch.no_grad():
            for parameter, value in _pairs(parameters, before):
                parameter.copy_(value)
            # orthogonal part: g_0 minus its projection on g_1
            inner = sum((a * b).sum() for a, b in _pairs(first, second))
            share = inner / (_norm(second).square() + _EPSILON)
            descend = [b - self.alpha * (a - share * b) for a, b in _pairs(first, second)]
        return here.detach(), descend


def _pairs(first: Sequence[Tensor], second: Sequence[Tensor]) -> zip[tuple[Tensor, Tensor]]:
    return zip(first, second, strict=True)


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    length: Tensor = torch.stack([tensor.norm() for tensor in tensors]).norm()
    return length
