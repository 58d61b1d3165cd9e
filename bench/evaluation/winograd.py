"""Convolutions 3×3 with a quarter of the multiplications: Winograd's F(4×4, 3×3).

An image is cut into tiles of 6×6 px that overlap by two; each gives a patch of 4×4 outputs. With
tile d, kernel g and patch Y of one channel, Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A (Lavin and Gray,
arXiv:1509.09308, eq. 8); over channels, ⊙ becomes a product of matrices for each of 36 points.

The transforms follow from five points at which polynomials are evaluated (Toom and Cook). Usual
are 0, ±1, ±2; with 0, ±3/4, ±3/2 the error in float32 is half as large: 1.2e-6 of the result,
where a direct convolution has 0.2e-6. A few images are worked on at a time, so that their tiles
stay in a core's cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)
KERNEL = 3
TILE = len(POINTS) + 1
"""Side of a tile, in pixels."""
PATCH = TILE - KERNEL + 1
"""Side of the outputs of a tile, in pixels."""

LEAST_CHANNELS = 64
"""Channels in and out from which fewer multiplications outweigh the transforms."""

TILES_AT_ONCE = 32
"""Tiles worked on together; with 128 channels they take 0.6 MB, which a core's cache holds."""


def winograd(network: nn.Module) -> nn.Module:
    """``network`` with its wide convolutions 3×3 replaced in place; their tensors stay."""
    for name, child in network.named_children():
        if isinstance(child, nn.Conv2d) and _pays(child):
            setattr(network, name, _SameSizeConvolution(child))
        else:
            winograd(child)
    return network


def _pays(layer: nn.Conv2d) -> bool:
    form = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups)
    plain = form == ((KERNEL, KERNEL), (1, 1), (1, 1), (1, 1), 1) and layer.padding_mode == "zeros"
    return plain and min(layer.in_channels, layer.out_channels) >= LEAST_CHANNELS


class _SameSizeConvolution(nn.Module):
    """The function and the tensors of a convolution 3×3 with padding 1."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, K, H, W)``."""
        found: Tensor = _Differentiable.apply(images, self.weight)
        return found if self.bias is None else found + self.bias[:, None, None]


class _Differentiable(torch.autograd.Function):
    """The convolution with its derivative, both opaque to compilers."""

    @staticmethod
    def forward(images: Tensor, weight: Tensor) -> Tensor:
        found: Tensor = convolution(images, weight)
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        images, weight = ctx.saved_tensors
        found: tuple[Tensor, Tensor] = derivative(images, weight, gradient)
        return found


@torch.library.custom_op("distillation_bench::winograd", mutates_args=())
def convolution(images: Tensor, weight: Tensor) -> Tensor:
    """``conv2d(images, weight, padding=1)``.

    Args:
        images: ``(N, C, H, W)``.
        weight: ``(K, C, 3, 3)``.

    Returns:
        ``(N, K, H, W)``, the channels last in memory.
    """
    images, transforms = _channels_last(images), _transforms(weight.dtype)
    kernels = _to_points(weight, transforms)
    found = images.new_empty(*images.shape[:3], len(weight))
    for few in _few_at_once(images):
        points = _points(images[few], transforms)
        products = torch.bmm(points, kernels).flatten(1)
        found[few] = _from_patches(transforms.patch @ products, found[few].shape)
    return found.permute(0, 3, 1, 2)


@torch.library.custom_op("distillation_bench::winograd_derivative", mutates_args=())
def derivative(images: Tensor, weight: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """From the gradient of :func:`convolution`'s result to those of its arguments.

    Every step of the convolution is linear: here are their transposes, from last to first.

    Args:
        images: ``(N, C, H, W)``.
        weight: ``(K, C, 3, 3)``.
        gradient: ``(N, K, H, W)``.
    """
    images, gradient = _channels_last(images), _channels_last(gradient)
    transforms = _transforms(weight.dtype)
    kernels = _to_points(weight, transforms).transpose(1, 2)
    of_images, of_kernels = torch.empty_like(images), torch.zeros_like(kernels.transpose(1, 2))
    for few in _few_at_once(images):
        products = (transforms.patch.T @ _patches(gradient[few])).unflatten(1, (-1, len(weight)))
        of_kernels.baddbmm_(_points(images[few], transforms).transpose(1, 2), products)
        tiles = transforms.tile.T @ torch.bmm(products, kernels).flatten(1)
        of_images[few] = _from_tiles(tiles, of_images[few].shape)
    of_weight = transforms.kernel.T @ of_kernels.flatten(1)
    of_weight = of_weight.view(KERNEL, KERNEL, *of_kernels.shape[1:])
    return of_images.permute(0, 3, 1, 2), of_weight.permute(3, 2, 0, 1).contiguous()


@convolution.register_fake
def _(images: Tensor, weight: Tensor) -> Tensor:
    count, _, height, width = images.shape
    return images.new_empty(count, height, width, len(weight)).permute(0, 3, 1, 2)


@derivative.register_fake
def _(images: Tensor, weight: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    count, channels, height, width = images.shape
    of_images = images.new_empty(count, height, width, channels)
    return of_images.permute(0, 3, 1, 2), torch.empty_like(weight)


class _Transforms(NamedTuple):
    """Matrices that act on flattened squares: each the Kronecker product of a side's with itself.

    Attributes:
        tile: B ⊗ B transposed, ``(36, 36)``.
        kernel: G ⊗ G, ``(36, 9)``.
        patch: A ⊗ A transposed, ``(16, 36)``.
    """

    tile: Tensor
    kernel: Tensor
    patch: Tensor


@lru_cache
def _transforms(dtype: torch.dtype) -> _Transforms:
    points, last = np.array(POINTS), TILE - 1  # the last point of evaluation lies at infinity
    tile, kernel, patch = np.zeros((TILE, TILE)), np.zeros((TILE, KERNEL)), np.zeros((PATCH, TILE))
    for row, point in enumerate(points):
        others = np.delete(points, row)
        tile[row, :last] = np.poly(others)[::-1]
        kernel[row] = point ** np.arange(KERNEL) / np.prod(point - others)
        patch[:, row] = point ** np.arange(PATCH)
    tile[last] = np.poly(points)[::-1]
    kernel[last, -1] = patch[-1, last] = 1
    sides = (torch.from_numpy(np.kron(side, side)).to(dtype) for side in (tile, kernel, patch))
    return _Transforms(*sides)


def _channels_last(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).contiguous()


def _few_at_once(images: Tensor) -> Iterator[slice]:
    """Ranges of images whose tiles are worked on together."""
    step = max(1, TILES_AT_ONCE // math.prod(_tiles_along(images.shape)))
    return (slice(start, start + step) for start in range(0, len(images), step))


def _tiles_along(shape: torch.Size) -> tuple[int, int]:
    """How many tiles cover the height and the width of ``(N, H, W, C)``."""
    return -(-shape[1] // PATCH), -(-shape[2] // PATCH)


def _to_points(weight: Tensor, transforms: _Transforms) -> Tensor:
    """Kernels ``(K, C, 3, 3)`` to ``(36, C, K)``."""
    squares = weight.permute(2, 3, 1, 0).reshape(KERNEL**2, -1)
    return (transforms.kernel @ squares).view(TILE**2, weight.shape[1], len(weight))


def _points(images: Tensor, transforms: _Transforms) -> Tensor:
    """Images ``(n, H, W, C)`` to their transformed tiles, ``(36, tiles, C)``."""
    (_, height, width, channels), (down, across) = images.shape, _tiles_along(images.shape)
    right, below = 1 + across * PATCH - width, 1 + down * PATCH - height
    tiles = F.pad(images, (0, 0, 1, right, 1, below)).unfold(1, TILE, PATCH).unfold(2, TILE, PATCH)
    squares = tiles.permute(4, 5, 0, 1, 2, 3).reshape(TILE**2, -1)
    return (transforms.tile @ squares).view(TILE**2, -1, channels)


def _from_tiles(squares: Tensor, shape: torch.Size) -> Tensor:
    """Tiles ``(36, tiles * C)`` to images ``shape``: added where they overlap, without margins."""
    (count, height, width, channels), (down, across) = shape, _tiles_along(shape)
    tiles = squares.view(TILE, TILE, count, down, across, channels).permute(2, 3, 0, 4, 1, 5)
    padded = squares.new_zeros(count, down + 1, PATCH, across + 1, PATCH, channels)
    for below, rows in enumerate((tiles[:, :, :PATCH], tiles[:, :, PATCH:])):
        for right, part in enumerate((rows[:, :, :, :, :PATCH], rows[:, :, :, :, PATCH:])):
            place = padded[:, below : below + down, : part.shape[2], right : right + across]
            place[..., : part.shape[4], :] += part
    whole = padded.view(count, (down + 1) * PATCH, (across + 1) * PATCH, channels)
    return whole[:, 1 : 1 + height, 1 : 1 + width]


def _patches(images: Tensor) -> Tensor:
    """Images ``(n, H, W, K)`` to their patches, ``(16, patches * K)``."""
    (count, height, width, channels), (down, across) = images.shape, _tiles_along(images.shape)
    whole = F.pad(images, (0, 0, 0, across * PATCH - width, 0, down * PATCH - height))
    patches = whole.view(count, down, PATCH, across, PATCH, channels)
    return patches.permute(2, 4, 0, 1, 3, 5).reshape(PATCH**2, -1)


def _from_patches(squares: Tensor, shape: torch.Size) -> Tensor:
    """Patches ``(16, patches * K)`` to images ``shape``: :func:`_patches` backwards."""
    (count, height, width, channels), (down, across) = shape, _tiles_along(shape)
    patches = squares.view(PATCH, PATCH, count, down, across, channels)
    whole = patches.permute(2, 3, 0, 4, 1, 5).reshape(count, down * PATCH, across * PATCH, channels)
    return whole[:, :height, :width]
