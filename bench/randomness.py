"""Every random draw of the suite comes from a generator derived from a trial's seed.

A scope is a path of names and numbers such as ``("distill", "dm", 0)``. Scopes that differ in any
part give independent streams, so adding a draw in one place never shifts another.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive_seed(*scope: str | int) -> int:
    """Map a scope to a seed in [0, 2**63), the same on every machine and Python version."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in scope)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*scope: str | int, device: str | torch.device = "cpu") -> torch.Generator:
    """Return a fresh generator for ``scope``; draws on the CPU are the same for every device."""
    import torch

    return torch.Generator(device).manual_seed(derive_seed(*scope))


def choose(count: int, rng: torch.Generator) -> int:
    """Draw a number from 0 to ``count - 1``.

    A choice between branches is a number, not a tensor: it is drawn outside any mode that is
    active (fake tensors for memory forecasts have no values to branch on).
    """
    import torch
    from torch.utils._python_dispatch import _disable_current_modes

    with _disable_current_modes():
        return int(torch.randint(count, (), generator=rng))


def child_seed(rng: torch.Generator) -> int:
    """Draw a seed from ``rng``, for code that takes a number rather than a generator."""
    return choose(2**63 - 1, rng)
