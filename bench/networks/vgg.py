"""VGG11 for 32 px.

Follows VICO-UoE/DatasetCondensation@53f63a6, networks.py, and at 64 px DATM, arXiv:2310.05773
(A.8): the last pooling, which has a 1×1 window, gets stride 2.

Differs: the first convolution pads by 3 at 28 px; the release does so for one channel.
"""

from __future__ import annotations

from torch import nn

from bench.networks.layers import extra_padding, halves_first, norm_layer
from bench.networks.names import Norm
from bench.networks.network import Network, TooSmall
from bench.specs import DatasetSpec

_STAGES = ((1,), (2,), (4, 4), (8, 8), (8, 8))
"""Channels of the convolutions 3×3 before each max pooling, in multiples of the width."""


def vgg11(spec: DatasetSpec, *, width: int = 64, norm: Norm = "in") -> Network:
    """Eight convolutions of ``width`` to 8·``width`` channels with norm and ReLU, five poolings."""
    extra = extra_padding(spec.size_px)
    channels, size_px, padding = spec.channels, spec.size_px + 2 * extra, 1 + extra
    if size_px < 32:  # the last norm must see 2×2: instance norm of 1×1 is constant
        raise TooSmall("VGG11", 32, spec)
    layers: list[nn.Module] = []
    for stage in _STAGES:
        for multiple in stage:
            layers += [
                nn.Conv2d(channels, multiple * width, 3, padding=padding),
                norm_layer(norm, multiple * width, size_px),
                nn.ReLU(),
            ]
            channels, padding = multiple * width, 1
        layers.append(nn.MaxPool2d(2))
        size_px //= 2
    if halves_first(spec.size_px):
        layers.append(nn.AvgPool2d(1, stride=2))
        size_px = (size_px + 1) // 2
    return Network(nn.Sequential(*layers), channels * size_px**2, spec.num_classes)
