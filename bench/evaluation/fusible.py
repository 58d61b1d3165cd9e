"""A layer written so that a compiler fuses it well: the same function, other operators.

Inductor fuses the derivative of average pooling as a lookup for each pixel; four strided slices
leave it plain loops. That takes the compiled step of ConvNet-D3 (batch 100, one AVX-512 core) from
474 to 463 ms in fp32 and from 248 to 216 ms in bf16. Group norm written out as means was slower.
"""

from __future__ import annotations

from torch import Tensor, nn


def fusible(network: nn.Module) -> nn.Module:
    """``network`` with its average poolings 2×2 replaced in place."""
    for name, child in network.named_children():
        if isinstance(child, nn.AvgPool2d) and (child.kernel_size, child.stride) == (2, 2):
            setattr(network, name, _HalvingMean())
        else:
            fusible(child)
    return network


class _HalvingMean(nn.Module):
    """Average pooling 2×2 with stride 2; an odd last row or column is dropped."""

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C, H // 2, W // 2)``."""
        height, width = (size // 2 * 2 for size in x.shape[2:])
        rows = x[:, :, 0:height:2, :width] + x[:, :, 1:height:2, :width]
        mean: Tensor = (rows[..., 0::2] + rows[..., 1::2]) / 4
        return mean
