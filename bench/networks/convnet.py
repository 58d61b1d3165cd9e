"""ConvNet-D1 to -D4: the field's default encoder and student.

DC, arXiv:2006.05929; follows VICO-UoE/DatasetCondensation@53f63a6, networks.py. The choice of
activation, norm and pooling is that of Model Pool, arXiv:2402.13007 (table 3).

Differs: the first convolution pads by 3 at 28 px; the release does so for one channel.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from bench.networks.layers import activation_layer, extra_padding, norm_layer, pooling_layer
from bench.networks.names import Activation, Norm, Pooling
from bench.networks.network import Network, TooSmall
from bench.specs import DatasetSpec


def _convnet(
    depth: int,
    spec: DatasetSpec,
    *,
    width: int = 128,
    norm: Norm = "in",
    activation: Activation = "relu",
    pooling: Pooling = "avg",
) -> Network:
    """``depth`` blocks of convolution 3×3 with bias, norm, activation and pooling 2×2."""
    # the last block must see 2×2 at least: pooling halves it, and instance norm of 1×1 is constant
    smallest_px = 2 if pooling == "nopool" else 2**depth
    if spec.size_px < smallest_px:
        raise TooSmall(f"ConvNet-D{depth}", smallest_px, spec)
    extra = extra_padding(spec.size_px)
    channels, size_px, padding = spec.channels, spec.size_px + 2 * extra, 1 + extra
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [
            nn.Conv2d(channels, width, 3, padding=padding),
            norm_layer(norm, width, size_px),
            activation_layer(activation),
            pooling_layer(pooling),
        ]
        channels, padding = width, 1
        size_px = size_px if pooling == "nopool" else size_px // 2
    return Network(nn.Sequential(*layers), width * size_px**2, spec.num_classes)


convnet_d1 = partial(_convnet, 1)
convnet_d2 = partial(_convnet, 2)
convnet_d3 = partial(_convnet, 3)
convnet_d4 = partial(_convnet, 4)
