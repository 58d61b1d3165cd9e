"""Convolutions 3×3 with a quarter of the multiplications: Winograd's F(4×4, 3×3).

An image is cut into tiles of 6×6 px that overlap by two; each gives a patch of 4×4 outputs. With
tile d, kernel g and patch Y of one channel, Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A (Lavin and Gray,
arXiv:1509.09308, eq. 8); over channels, ⊙ becomes a product of matrices for each of 36 points.
The products are PyTorch's; the transforms, which are bound by memory, are C++ (``winograd.cpp``).

The transforms follow from five points at which polynomials are evaluated (Toom and Cook). Usual
are 0, ±1, ±2; with 0, ±3/4, ±3/2 the error in float32 is half as large: 1.1e-6 of the result,
where a direct convolution has 0.2e-6. A few images are worked on at a time, so that their points
stay in a core's cache.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bench.evaluation import native

POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)
KERNEL = 3
TILE = len(POINTS) + 1
"""Side of a tile, in pixels."""
PATCH = TILE - KERNEL + 1
"""Side of the outputs of a tile, in pixels."""

LEAST_CHANNELS = 64
"""Channels in and out. From 32 on it would gain too, but less, where students take little time."""

TILES_AT_ONCE = 64
"""Tiles worked on together; with 128 channels their points take 1.2 MB."""


def winograd(network: nn.Module) -> nn.Module:
    """``network`` with its wide convolutions 3×3 replaced in place; their tensors stay.

    Raises:
        BenchError: the transforms cannot be compiled.
    """
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
        _compiled()  # here, where an error is not inside compiled code
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, K, H, W)``."""
        if min(images.shape[2:]) < PATCH:  # a tile would be mostly margin
            return F.conv2d(images, self.weight, self.bias, padding=1)
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
        images: ``(N, C, H, W)``, float32 or float64.
        weight: ``(K, C, 3, 3)``.

    Returns:
        ``(N, K, H, W)``, the channels last in memory.
    """
    images, kernels = _channels_last(images), _kernel_points(weight)
    found = images.new_empty(*images.shape[:3], len(weight))
    points, products = _room(images, images.shape[3]), _room(images, len(weight))
    for few, tiles in _few_at_once(images):
        _transform("tiles_to_points", images[few], points[:, tiles])
        torch.bmm(points[:, tiles], kernels.transpose(1, 2), out=products[:, tiles])
        _transform("points_to_patches", found[few], products[:, tiles])
    return found.permute(0, 3, 1, 2)


@torch.library.custom_op("distillation_bench::winograd_derivative", mutates_args=())
def derivative(images: Tensor, weight: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """From the gradient of :func:`convolution`'s result to those of its arguments.

    Every step of the convolution is linear: here are their transposes, from last to first.

    Args:
        images: ``(N, C, H, W)``, float32 or float64.
        weight: ``(K, C, 3, 3)``.
        gradient: ``(N, K, H, W)``.
    """
    images, gradient = _channels_last(images), _channels_last(gradient)
    kernels = _kernel_points(weight)
    of_images, of_kernels = images.new_empty(images.shape), torch.zeros_like(kernels)
    points, products = _room(images, images.shape[3]), _room(images, len(weight))
    for few, tiles in _few_at_once(images):
        _transform("patches_to_points", gradient[few], products[:, tiles])
        _transform("tiles_to_points", images[few], points[:, tiles])
        of_kernels.baddbmm_(products[:, tiles].transpose(1, 2), points[:, tiles])
        torch.bmm(products[:, tiles], kernels, out=points[:, tiles])
        _transform("points_to_tiles", of_images[few], points[:, tiles])
    of_weight = weight.new_empty(weight.shape)
    _transform("points_to_kernels", _channels_last(of_weight), of_kernels)
    return of_images.permute(0, 3, 1, 2), of_weight


@convolution.register_fake
def _(images: Tensor, weight: Tensor) -> Tensor:
    count, _, height, width = images.shape
    return images.new_empty(count, height, width, len(weight)).permute(0, 3, 1, 2)


@derivative.register_fake
def _(images: Tensor, weight: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    count, channels, height, width = images.shape
    of_images = images.new_empty(count, height, width, channels)
    return of_images.permute(0, 3, 1, 2), torch.empty_like(weight)


def _channels_last(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1)


def _few_at_once(images: Tensor) -> Iterator[tuple[slice, slice]]:
    """Ranges of images ``(N, H, W, C)`` that are worked on together, and of their tiles."""
    step, tiles = _images_at_once(images), _tiles(images)
    for start in range(0, len(images), step):
        few = slice(start, min(start + step, len(images)))
        yield few, slice(0, (few.stop - start) * tiles)


def _images_at_once(images: Tensor) -> int:
    return max(1, TILES_AT_ONCE // _tiles(images))


def _tiles(images: Tensor) -> int:
    """How many tiles cover an image of ``(N, H, W, C)``."""
    height, width = images.shape[1:3]
    return -(-height // PATCH) * -(-width // PATCH)


def _room(images: Tensor, channels: int) -> Tensor:
    """For the points of all tiles that are worked on together, ``(36, tiles, channels)``."""
    return images.new_empty(TILE**2, _images_at_once(images) * _tiles(images), channels)


def _kernel_points(weight: Tensor) -> Tensor:
    """Kernels ``(K, C, 3, 3)`` to ``(36, K, C)``."""
    points = weight.new_empty(TILE**2, *weight.shape[:2])
    _transform("kernels_to_points", _channels_last(weight), points)
    return points


def _transform(name: str, images: Tensor, points: Tensor) -> None:
    """A function of ``winograd.cpp``.

    Args:
        name: which; it writes into one argument what follows from the other.
        images: or kernels, ``(N, H, W, C)`` in any order in memory.
        points: of their squares, ``(36, squares, C)``, the channels contiguous.
    """
    function = getattr(_compiled(), f"{name}_{str(images.dtype).removeprefix('torch.')}")
    places = (images.data_ptr(), points.data_ptr(), *points.stride()[:2])
    work = (*places, *images.shape, *images.stride())
    function(ctypes.c_int64(torch.get_num_threads()), (ctypes.c_int64 * len(work))(*work))


@cache
def _compiled() -> ctypes.CDLL:
    """The transforms, with the matrices B, G and A in them as constants."""
    points, last = np.array(POINTS), TILE - 1  # the last point of evaluation lies at infinity
    tile, kernel, patch = np.zeros((TILE, TILE)), np.zeros((TILE, KERNEL)), np.zeros((PATCH, TILE))
    for row, point in enumerate(points):
        others = np.delete(points, row)
        tile[row, :last] = np.poly(others)[::-1]
        kernel[row] = point ** np.arange(KERNEL) / np.prod(point - others)
        patch[:, row] = point ** np.arange(PATCH)
    tile[last] = np.poly(points)[::-1]
    kernel[last, -1] = patch[-1, last] = 1
    sides = {"POINTS_OF_TILE": tile, "POINTS_OF_KERNEL": kernel, "PATCH_OF_POINTS": patch}
    constants = ((name, _braced(matrix.tolist())) for name, matrix in sides.items())
    return native.library(Path(__file__).with_suffix(".cpp"), *constants)


def _braced(numbers: list[list[float]]) -> str:
    """A matrix as C++ has it."""
    return str(numbers).translate(str.maketrans("[]", "{}", " "))
