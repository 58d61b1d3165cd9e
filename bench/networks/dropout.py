"""Dropout that leaves torch's global generators alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.randomness import child_seed, derive_seed


class Dropout(nn.Module):
    """Zero each number with probability ``rate`` in training and scale the rest by 1/(1 - rate).

    Each call draws from a stream of its own, named by a seed from the network's generator and by
    the count of calls. Both are part of the state dict, so a resumed run drops what the
    uninterrupted one would have dropped. Masks are drawn where the images are; they differ
    between kinds of device.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.seed = 0
        self.calls = 0

    def initialise(self, rng: torch.Generator) -> None:
        """Take a seed from ``rng``."""
        self.seed = child_seed(rng)

    def forward(self, x: Tensor) -> Tensor:
        """Drop in training mode, pass everything on otherwise."""
        if not self.training:
            return x
        keep = torch.empty(x.shape, dtype=torch.bool, device=x.device)
        keep.bernoulli_(1 - self.rate, generator=self._stream(x.device))
        return x * keep / (1 - self.rate)

    def _stream(self, device: torch.device) -> torch.Generator | None:
        self.calls += 1
        simulated = device.type != "cpu" and not torch.accelerator.is_available()
        if simulated or device.type == "meta":  # memory forecasts: there is nothing to draw
            return None
        seed = derive_seed("dropout", self.seed, self.calls)
        return torch.Generator(device).manual_seed(seed)

    def get_extra_state(self) -> Tensor:
        """Seed and calls, ``(2,)`` int64."""
        return torch.tensor([self.seed, self.calls])

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from a saved state."""
        self.seed, self.calls = state.tolist()
