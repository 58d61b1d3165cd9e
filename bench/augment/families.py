"""Families of differentiable image operations, each with its way of drawing parameters.

The six of DSA (Zhao & Bilen, ICML 2021, arXiv:2102.08259) and DC's own one for MNIST. Drawing and
applying are apart, so that a draw can be replayed exactly and shared by two batches. Parameters are
drawn on the CPU in float32 whatever the images are: the same draw on every device. Zero, which
fills what an operation uncovers, is the mean pixel of a normalised dataset.

Follows VICO-UoE/DatasetCondensation@53f63a6, utils.py.
Differs: parameters are drawn explicitly instead of by re-seeding the global generator. There is
no ``align_corners``: for square images and maps about their centre both values give the same map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from bench.augment.sampling import centred, resample, shift


class Family(Protocol):
    """One kind of image operation."""

    def draw(self, count: int, size_px: int, rng: Generator) -> Tensor:
        """Parameters of ``count`` images of ``size_px`` pixels: ``(count, P)`` float32."""

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Change ``images`` ``(N, C, S, S)`` by ``parameters`` ``(N, P)``, or ``(1, P)`` for all.

        The parameters are on the images' device. The result has the images' shape and type.
        """


def _uniform(count: int, bounds: tuple[tuple[float, float], ...], rng: Generator) -> Tensor:
    """``(count, P)`` independent uniform numbers, one column for each ``(low, high)``."""
    low, high = torch.tensor(bounds).unbind(1)
    return low + (high - low) * torch.rand(count, len(bounds), generator=rng)


def _per_image(parameters: Tensor, like: Tensor) -> tuple[Tensor, ...]:
    """Columns of ``parameters``, each ``(M, 1, 1, 1)`` in the type of ``like``."""
    return parameters.to(like.dtype)[:, :, None, None, None].unbind(1)


def _grid(images: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Rows ``(S, 1)`` and columns ``(S,)`` from the centre, and parameter columns ``(M, 1, 1)``.

    At least float32: half precision cannot tell neighbouring pixels of a large image apart.
    """
    dtype = torch.promote_types(images.dtype, torch.float32)
    place = centred(images.shape[-1], images.device, dtype)
    return place[:, None], place, parameters.to(dtype)[:, :, None, None].unbind(1)


@dataclass(frozen=True)
class Color:
    """Brightness, then saturation, then contrast.

    Attributes:
        brightness: a number in ±brightness is added.
        saturation: deviations from a pixel's mean over channels are scaled by up to this.
        contrast: deviations from the image's mean are scaled by 1 ± contrast.
    """

    brightness: float = 0.5
    saturation: float = 2.0
    contrast: float = 0.5

    def draw(self, count: int, size_px: int, rng: Generator) -> Tensor:
        """Columns: the number added and the two scales."""
        brightness = (-self.brightness, self.brightness)
        contrast = (1 - self.contrast, 1 + self.contrast)
        return _uniform(count, (brightness, (0, self.saturation), contrast), rng)

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Add, then scale about the grey pixel, then about the image's mean."""
        added, saturation, contrast = _per_image(parameters, images)
        images = images + added
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * saturation
        mean = images.mean((1, 2, 3), keepdim=True)
        return mean + (images - mean) * contrast


@dataclass(frozen=True)
class Crop:
    """Shift by whole pixels: a crop of the image padded with zeros.

    Attributes:
        ratio: the largest shift, as a fraction of the size; rounded half up.
    """

    ratio: float = 0.125

    def draw(self, count: int, size_px: int, rng: Generator) -> Tensor:
        """Columns: rows and columns to shift by, uniform over whole numbers."""
        most = int(self.ratio * size_px + 0.5)
        return torch.randint(-most, most + 1, (count, 2), generator=rng).float()

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Shift the images."""
        return shift(images, *parameters.unbind(1))


@dataclass(frozen=True)
class Cutout:
    """A square of zeros, clipped at the borders.

    Attributes:
        ratio: the square's side, as a fraction of the size; rounded half up.
    """

    ratio: float = 0.5

    def _side_px(self, size_px: int) -> int:
        return int(self.ratio * size_px + 0.5)

    def draw(self, count: int, size_px: int, rng: Generator) -> Tensor:
        """Columns: first row and column of the square.

        Its centre is uniform over the pixels, or for an even side over the lines between them, the
        outer borders included.
        """
        side = self._side_px(size_px)
        centre = torch.randint(0, size_px + 1 - side % 2, (count, 2), generator=rng)
        return (centre - side // 2).float()

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Blank the square."""
        size = images.shape[-1]
        place = torch.arange(size, device=images.device)
        offset = place - parameters[:, :, None]  # (M, 2, S), counted from the square's corner
        rows, columns = ((offset >= 0) & (offset < self._side_px(size))).unbind(1)
        square = rows[:, :, None] & columns[:, None, :]
        return images.masked_fill(square[:, None], 0)


@dataclass(frozen=True)
class Flip:
    """Mirror left and right.

    Attributes:
        probability: share of images mirrored.
    """

    probability: float = 0.5

    def draw(self, count: int, size_px: int, rng: Generator) -> Tensor:
        """One column: 1 to mirror, 0 to leave."""
        return (torch.rand(count, 1, generator=rng) < self.probability).float()

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Mirror the chosen images."""
        return torch.where(parameters[:, :, None, None] > 0, images.flip(3), images)


@dataclass(frozen=True)
class Scale:
    """Stretch height and width independently about the centre.

    Attributes:
        most: the largest factor; the smallest is its reciprocal.
    """

    most: float = 1.2

    def draw(self, count: int, size_px: int, rng: Generator) -> Tensor:
        """Columns: factors of the sampling grid across and down; above 1 the image shrinks."""
        return _uniform(count, ((1 / self.most, self.most),) * 2, rng)

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Read the images on the stretched grid."""
        row, column, (across, down) = _grid(images, parameters)
        return resample(images, down * row, across * column)


@dataclass(frozen=True)
class Rotate:
    """Turn about the centre.

    Attributes:
        degrees: the largest angle either way.
    """

    degrees: float = 15.0

    def draw(self, count: int, size_px: int, rng: Generator) -> Tensor:
        """One column: the angle of the sampling grid in radians."""
        most = math.radians(self.degrees)
        return _uniform(count, ((-most, most),), rng)

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Read the images on the turned grid."""
        row, column, (angle,) = _grid(images, parameters)
        sine, cosine = angle.sin(), angle.cos()
        return resample(images, sine * column + cosine * row, cosine * column - sine * row)


@dataclass(frozen=True)
class CropScaleOrRotate:
    """DC's augmentation for MNIST: for every image a shift, a stretch or a turn.

    Differs: the release scales by nearest neighbour to whole sizes, rotates by cubic splines, and
    fills crops and rotations with the batch's mean where zero stands here.

    Attributes:
        shift_px: shifts are whole numbers from -shift_px to shift_px - 1, as in the release.
        stretch: height and width are scaled by independent factors in 1 ± stretch.
        degrees: angles are whole degrees from -degrees to degrees - 1, as in the release.
    """

    shift_px: int = 4
    stretch: float = 0.2
    degrees: int = 45

    def draw(self, count: int, size_px: int, rng: Generator) -> Tensor:
        """Columns: shift down and across, stretch down and across, angle in radians.

        Two of the three kinds are neutral in every row.
        """
        kind = torch.randint(3, (count, 1), generator=rng)
        pixels = torch.randint(-self.shift_px, self.shift_px, (count, 2), generator=rng)
        stretch = _uniform(count, ((1 - self.stretch, 1 + self.stretch),) * 2, rng)
        degrees = torch.randint(-self.degrees, self.degrees, (count, 1), generator=rng)
        return torch.cat(
            [
                torch.where(kind == 0, pixels, 0),
                torch.where(kind == 1, stretch, 1),
                torch.where(kind == 2, degrees, 0).deg2rad(),
            ],
            dim=1,
        )

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Read the images on the moved grid."""
        row, column, (down, right, high, wide, angle) = _grid(images, parameters)
        sine, cosine = angle.sin(), angle.cos()
        rows = (sine * column + cosine * row) / high + down
        return resample(images, rows, (cosine * column - sine * row) / wide + right)
