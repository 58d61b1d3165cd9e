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

    With g_0 = ∇loss(θ), e = ρ θ² g_0 / ‖|θ| g_0‖ and g_1 = ∇loss(θ + e), it descends along
    g_1 - α g_⊥, where g_⊥ is the part of g_0 orthogonal to g_1.

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

        Args:
            loss: evaluates one and the same batch at the present parameters.
            parameters: θ; moved and put back in place.
        """
        here = loss()
        first = torch.autograd.grad(here, parameters)
        with torch.no_grad():
            before = [parameter.clone() for parameter in parameters]
            torch._foreach_add_(list(parameters), self.offsets(before, first))
        second = torch.autograd.grad(loss(), parameters)
        with torch.no_grad():
            torch._foreach_copy_(list(parameters), before)
            return here.detach(), self.descent(first, second)

    def offsets(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        """e: how far each parameter moves uphill.

        Args:
            parameters: θ.
            gradients: g_0.
        """
        length = _norm([p.abs() * g for p, g in zip(parameters, gradients, strict=True)])
        scale = self.rho / (length + _EPSILON)
        return [scale * p.square() * g for p, g in zip(parameters, gradients, strict=True)]

    def descent(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> list[Tensor]:
        """g_1 - α g_⊥.

        Args:
            first: g_0.
            second: g_1.
        """
        pairs = list(zip(first, second, strict=True))
        # orthogonal part: g_0 minus its projection on g_1
        share = sum((a * b).sum() for a, b in pairs) / (_norm(second).square() + _EPSILON)
        return [b - self.alpha * (a - share * b) for a, b in pairs]


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    length: Tensor = torch.stack([tensor.norm() for tensor in tensors]).norm()
    return length
