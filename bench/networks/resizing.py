"""Networks that see every image at a size of their own."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Resize(nn.Module):
    """Square images of any size to ``size_px``, bilinearly; smaller ones after smoothing.

    Nothing is learned and nothing drawn: behind it, a network is the one for images of that size.
    """

    def __init__(self, size_px: int) -> None:
        super().__init__()
        self.size_px = size_px

    def forward(self, images: Tensor) -> Tensor:
        """``(N, C, H, H)`` to ``(N, C, size_px, size_px)``."""
        return F.interpolate(
            images,
            size=(self.size_px, self.size_px),
            mode="bilinear",
            antialias=images.shape[-1] > self.size_px,
        )
