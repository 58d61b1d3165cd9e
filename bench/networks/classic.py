"""MLP, LeNet and AlexNet as the field trims them for 32 px.

Follows VICO-UoE/DatasetCondensation@53f63a6, networks.py, and at 64 px DATM, arXiv:2310.05773
(A.8): the first convolution of LeNet and AlexNet has stride 2.

Differs: padding follows from the size, where the release pads one-channel images; a size that the
release does not have changes the width of the first linear layer.
"""

from __future__ import annotations

from torch import nn

from bench.networks.layers import extra_padding, halves_first, norm_layer
from bench.networks.names import Norm
from bench.networks.network import Network, TooSmall
from bench.specs import DatasetSpec


def mlp(spec: DatasetSpec, *, width: int = 128) -> Network:
    """Two hidden layers with ReLU on flattened pixels; no norm."""
    layers = [
        nn.Flatten(),
        nn.Linear(spec.channels * spec.size_px**2, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
    ]
    return Network(nn.Sequential(*layers), width, spec.num_classes)


def lenet(spec: DatasetSpec) -> Network:
    """Two convolutions 5×5 with max pooling, then linear layers of 120 and 84; no norm.

    The first map has 28×28: 28 px are padded for it, 32 px are not. Images below 28 px, which the
    papers do not have, keep their size in both convolutions, or nothing would be left of 8 px.
    """
    if spec.size_px < 4:
        raise TooSmall("LeNet", 4, spec)
    stride = 2 if halves_first(spec.size_px) else 1
    first, second = (2 if spec.size_px < 32 else 0), (2 if spec.size_px < 28 else 0)
    pooled_px = ((spec.size_px + 2 * first - 5) // stride + 1) // 2
    size_px = (pooled_px + 2 * second - 4) // 2
    layers = [
        nn.Conv2d(spec.channels, 6, 5, stride, padding=first),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5, padding=second),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * size_px**2, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
    ]
    return Network(nn.Sequential(*layers), 84, spec.num_classes)


_ALEXNET = ((2, 5, True), (3, 5, True), (4, 3, False), (3, 3, False), (3, 3, True))
"""Channels in halves of the width, kernel, and whether max pooling follows."""


def alexnet(spec: DatasetSpec, *, width: int = 128, norm: Norm = "nonorm") -> Network:
    """Five convolutions with ReLU and three max poolings; ``bn`` gives the field's AlexNetBN."""
    if spec.size_px < 8:
        raise TooSmall("AlexNet", 8, spec)
    stride = 2 if halves_first(spec.size_px) else 1
    extra = extra_padding(spec.size_px)
    channels, size_px = spec.channels, (spec.size_px + 2 * extra - 1) // stride + 1
    layers: list[nn.Module] = []
    for halves, kernel, pooled in _ALEXNET:
        outside = halves * width // 2
        layers += [
            nn.Conv2d(channels, outside, kernel, stride, padding=kernel // 2 + extra),
            norm_layer(norm, outside, size_px),
            nn.ReLU(),
        ]
        if pooled:
            layers.append(nn.MaxPool2d(2))
            size_px //= 2
        channels, stride, extra = outside, 1, 0
    return Network(nn.Sequential(*layers), channels * size_px**2, spec.num_classes)
