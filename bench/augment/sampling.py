"""Reading pixels at other places: by whole pixels, and between them.

Both gather, so their gradients can be differentiated again, vectorised, and made to repeat on a GPU
by ``torch.use_deterministic_algorithms``. ``torch.nn.functional.grid_sample`` is faster, but its
gradient has no derivative and refuses that mode: on a GPU it adds in the order threads arrive.
"""

from __future__ import annotations

import torch
from torch import Tensor


def centred(size_px: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Pixel positions along one axis, ``(S,)``, counted from the centre of the image."""
    return torch.arange(size_px, device=device, dtype=dtype) - (size_px - 1) / 2


def shift(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Read every pixel ``rows`` further down and ``columns`` further right; zero outside.

    Args:
        images: ``(N, C, S, S)``.
        rows: ``(M,)`` whole numbers, M being N or 1 (the same for all images).
        columns: likewise.
    """
    size = images.shape[-1]
    place = torch.arange(size, device=images.device)
    row = (place + rows.long()[:, None])[:, :, None]  # (M, S, 1)
    column = (place + columns.long()[:, None])[:, None, :]  # (M, 1, S)
    inside = _within(row, size) & _within(column, size)
    return _gather(images, row, column).masked_fill(~inside[:, None], 0)


def resample(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Read every pixel at a place between pixels by bilinear interpolation; zero outside.

    Args:
        images: ``(N, C, S, S)``.
        rows: where each output pixel is read, in pixels below the centre of the image; broadcasts
            to ``(M, S, S)``, M being N or 1 (the same for all images).
        columns: likewise, to the right of the centre.
    """
    size = images.shape[-1]
    corner = torch.arange(2, device=images.device)
    row, row_weight = _neighbours(rows, corner[:, None, None, None], size)
    column, column_weight = _neighbours(columns, corner[:, None, None], size)
    weight = (row_weight * column_weight).to(images.dtype)  # (M, 2, 2, S, S)
    corners = _gather(images, row, column)  # (N, C, 2, 2, S, S)
    return (corners * weight[:, None]).sum((2, 3))


def _neighbours(position: Tensor, corner: Tensor, size_px: int) -> tuple[Tensor, Tensor]:
    """The pixels on both sides of a position along one axis, and their interpolation weights."""
    position = (position + (size_px - 1) / 2)[:, None, None]  # (M, 1, 1, ...)
    pixel = position.floor() + corner
    weight = (1 - (position - pixel).abs()) * _within(pixel, size_px)
    return pixel.long(), weight


def _within(pixel: Tensor, size_px: int) -> Tensor:
    return (pixel >= 0) & (pixel < size_px)


def _gather(images: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Pixels at whole places, ``(M, ...)`` after broadcasting, clamped to the image."""
    count, channels, _, size = images.shape
    index = row.clamp(0, size - 1) * size + column.clamp(0, size - 1)
    flat = index.flatten(1)[:, None].expand(count, channels, -1)
    return images.flatten(2).gather(2, flat).view(count, channels, *index.shape[1:])
