"""Statistics that tell pixel spaces apart, for images that are learned and never clipped.

Ranges alone tell little about such images. Thresholds come from CIFAR-10, FashionMNIST and digits:
real images, class means, and both with noise added as learning does.

``balance``
    E[max(-x, 0)] / E|x|, the negative part's share. Images centred on the dataset's mean have 0.5
    whatever their distribution or contrast (measured: 0.48 to 0.51). Pixels in [0, 1] or 0..255
    have 0, learned ones a little more (FashionMNIST with noise of 0.2 in [0, 1]: 0.12). Up to
    ``CENTRED_BALANCE`` images cannot be centred, from ``PIXEL_BALANCE`` on they cannot be pixels;
    in between they may be either.
``std``
    Pixels in [0, 1] have at most 0.5 unless learned far outside; pixels in 0..255 about 60.
``smoothness``
    Correlation of neighbours within an image. RGB photographs have 0.9 when normalised and 0.6
    when ZCA-whitened, with a std of 1.2 against 0.26. Learning adds noise to both until they
    cannot be told apart. Judged only for RGB of 16 pixels and more, which is where the field
    whitens and where neighbours are alike.
``grey_level_share``
    Real images (core-sets) fall on k / 255 under the right map and nowhere near under a wrong one,
    which tells apart normalisations that differ in their constants alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CENTRED_BALANCE = 0.15
PIXEL_BALANCE = 0.20
MAX_UNIT_STD = 1.0
MIN_BYTES_STD = 3.0
SMOOTH = 0.75
WHITENED_STD = 0.5
WHITENED_SIZE_PX = 16

SAMPLE = 1000
"""Images looked at, evenly spread over the set."""

GREY_LEVEL_TOLERANCE = 0.02


@dataclass(frozen=True, kw_only=True)
class PixelStatistics:
    """What was measured over a set of images; see the module's text for the terms.

    Attributes:
        mean: over everything.
        std: over everything.
        balance: the negative part's share, in [0, 1].
        smoothness: correlation of neighbouring pixels, in [-1, 1].
        may_be_whitened: whether whitening is used for images of this shape.
    """

    mean: float
    std: float
    balance: float
    smoothness: float
    may_be_whitened: bool

    @property
    def looks_whitened(self) -> bool:
        """Little contrast and little correlation, as only whitened photographs have."""
        return self.may_be_whitened and self.std < WHITENED_STD and self.smoothness < SMOOTH

    @property
    def looks_smooth(self) -> bool:
        """Full contrast and much correlation, as no whitened image has."""
        return self.std >= WHITENED_STD and self.smoothness >= SMOOTH


def measure(images: Tensor) -> PixelStatistics:
    """Statistics of ``(N, C, H, W)`` images in any space; draws nothing."""
    x = sample(images)
    centred = x - x.mean((2, 3), keepdim=True)
    variance = centred.square().mean().item()
    across = (centred[..., 1:] * centred[..., :-1]).mean().item() if x.shape[3] > 1 else 0.0
    down = (centred[..., 1:, :] * centred[..., :-1, :]).mean().item() if x.shape[2] > 1 else 0.0
    magnitude = x.abs().mean().item()
    return PixelStatistics(
        mean=x.mean().item(),
        std=x.std(correction=0).item(),
        balance=x.clamp(max=0).abs().mean().item() / magnitude if magnitude else 0.0,
        smoothness=(across + down) / 2 / variance if variance else 1.0,
        may_be_whitened=x.shape[1] == 3 and min(x.shape[2:]) >= WHITENED_SIZE_PX,
    )


def grey_level_share(unit: Tensor) -> float:
    """The share of ``(n, C, H, W)`` values in [0, 1] that are one of the 256 grey levels."""
    levels = unit * 255
    nearest = levels.round().clamp(0, 255)
    return ((levels - nearest).abs() <= GREY_LEVEL_TOLERANCE).double().mean().item()


def sample(images: Tensor) -> Tensor:
    """At most ``SAMPLE`` of the images, evenly spread, as float64."""
    positions = torch.linspace(0, len(images) - 1, min(SAMPLE, len(images)), dtype=torch.float64)
    return images[positions.round().long()].double()
