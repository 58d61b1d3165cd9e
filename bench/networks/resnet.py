"""ResNet10 and ResNet18 for 32 px, and their AP twins, which average where the others stride.

Follows VICO-UoE/DatasetCondensation@53f63a6, networks.py, and at 64 px DATM, arXiv:2310.05773
(A.8): the first convolution has stride 2. ``resnet10-w32-bn`` and ``resnet18-w32-bn`` are DiM's
networks for CIFAR (arXiv:2303.04707) but for DiM's initialisation; DiM's AP networks average the
last map where these, as in the release, hand it to the classifier whole.

Differs: the average before the classifier covers the whole map (in the release 4×4, which is the
whole map at 28 and 32 px). Two cases that the papers do not have: the AP twins average after their
first convolution at 64 px, and a stage that would shrink its map to one pixel (8 px images) does
not halve it, because instance norm makes a constant of a single pixel.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from bench.networks.layers import halves_first, norm_layer
from bench.networks.names import Norm
from bench.networks.network import Network, TooSmall
from bench.specs import DatasetSpec


class Step(NamedTuple):
    """How one convolution changes the size of its map."""

    stride: int
    pool: list[nn.Module]  # follows the convolution's norm and activation
    conv_px: int  # the map that the convolution makes and its norm sees
    out_px: int  # the map after pooling


def _step(size_px: int, *, halve: bool, average: bool) -> Step:
    if not halve:
        return Step(1, [], size_px, size_px)
    if average:  # drops an odd last row
        return Step(1, [nn.AvgPool2d(2)], size_px, size_px // 2)
    return Step(2, [], (size_px + 1) // 2, (size_px + 1) // 2)


class Block(nn.Module):
    """A basic block: relu(residual(x) + shortcut(x)).

    Args:
        inside: channels in.
        outside: channels out.
        step: what its first convolution does to the size.
        norm: which norm follows each convolution.
    """

    def __init__(self, inside: int, outside: int, step: Step, norm: Norm) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inside, outside, 3, step.stride, padding=1, bias=False),
            norm_layer(norm, outside, step.conv_px),
            nn.ReLU(),
            *step.pool,
            nn.Conv2d(outside, outside, 3, padding=1, bias=False),
            norm_layer(norm, outside, step.out_px),
        )
        self.shortcut = nn.Sequential()
        if inside != outside:  # also wherever a block halves
            self.shortcut = nn.Sequential(
                nn.Conv2d(inside, outside, 1, step.stride, bias=False),
                *step.pool,
                norm_layer(norm, outside, step.out_px),
            )

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inside, H, W)`` to ``(N, outside, H', W')``."""
        return F.relu(self.residual(x) + self.shortcut(x))


def _resnet(
    depth: int, average: bool, spec: DatasetSpec, *, width: int = 64, norm: Norm = "in"
) -> Network:
    """Four stages of ``width`` to 8·``width`` channels with one (10) or two (18) blocks each."""
    if spec.size_px < 2:
        raise TooSmall(f"ResNet{depth}", 2, spec)
    step = _step(spec.size_px, halve=halves_first(spec.size_px), average=average)
    layers: list[nn.Module] = [
        nn.Conv2d(spec.channels, width, 3, step.stride, padding=1, bias=False),
        norm_layer(norm, width, step.conv_px),
        nn.ReLU(),
        *step.pool,
    ]
    channels = width
    for stage in range(4):
        for block in range((depth - 2) // 8):
            size_px = step.out_px
            step = _step(size_px, halve=stage > 0 and block == 0, average=average)
            if step.out_px < 2:
                step = _step(size_px, halve=False, average=average)
            layers.append(Block(channels, width * 2**stage, step, norm))
            channels = width * 2**stage
    if average:
        return Network(nn.Sequential(*layers), channels * step.out_px**2, spec.num_classes)
    layers.append(nn.AdaptiveAvgPool2d(1))
    return Network(nn.Sequential(*layers), channels, spec.num_classes)


resnet10 = partial(_resnet, 10, False)
resnet18 = partial(_resnet, 18, False)
resnet10_ap = partial(_resnet, 10, True)
resnet18_ap = partial(_resnet, 18, True)
