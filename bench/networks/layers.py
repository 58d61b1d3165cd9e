"""The layers that names choose between, and the two size rules that families share."""

from __future__ import annotations

from torch import nn

from bench.errors import InvalidValue
from bench.networks.names import Activation, Norm, Pooling

GROUPS = 4


def norm_layer(norm: Norm, channels: int, size_px: int) -> nn.Module:
    """A norm over maps ``(N, channels, size_px, size_px)``, with affine parameters.

    Instance norm has no running statistics: it is group norm with one channel in a group. Layer
    norm normalises C×H×W and its affine parameters have that shape.

    Raises:
        InvalidValue: the channels cannot be split into 4 groups.
    """
    if norm == "in":
        return nn.GroupNorm(channels, channels)
    if norm == "bn":
        return nn.BatchNorm2d(channels)
    if norm == "ln":
        return nn.LayerNorm((channels, size_px, size_px))
    if norm == "nonorm":
        return nn.Identity()
    if channels % GROUPS:
        raise InvalidValue(
            f"Group norm splits channels into {GROUPS} groups; {channels} channels do not divide. "
            f"Give a width that is a multiple of {GROUPS}."
        )
    return nn.GroupNorm(GROUPS, channels)


def activation_layer(activation: Activation) -> nn.Module:
    """ReLU, sigmoid, leaky ReLU of slope 0.01, or swish x·σ(x)."""
    layers: dict[Activation, type[nn.Module]] = {
        "relu": nn.ReLU,
        "sigmoid": nn.Sigmoid,
        "leaky": nn.LeakyReLU,
        "swish": nn.SiLU,
    }
    return layers[activation]()


def pooling_layer(pooling: Pooling) -> nn.Module:
    """2×2 pooling with stride 2, or none."""
    if pooling == "nopool":
        return nn.Identity()
    return nn.AvgPool2d(2) if pooling == "avg" else nn.MaxPool2d(2)


def extra_padding(size_px: int) -> int:
    """Pixels that the first convolution pads beyond its usual padding: 2 at 28 px, else 0.

    The releases pad one-channel images so because theirs have 28 px and their networks expect
    32 px. Size is the reason, so size decides here: images that have 32 px, or 8 px, are not
    padded, whatever their channels.
    """
    return 2 if size_px == 28 else 0


def halves_first(size_px: int) -> bool:
    """Whether a network made for 32 px halves its first map, as DATM (A.8) does from 64 px on."""
    return size_px >= 64
