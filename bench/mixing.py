"""CutMix and MixUp: each image of a batch mixed with another of it, labels mixed alike.

Labels may be class indices or logits under any loss, so it is losses that are mixed:
λ · loss(ŷ, y) + (1 - λ) · loss(ŷ, y'), where λ is the share of an image that is left. Under
cross-entropy that is the loss against mixed one-hot labels. One λ a batch, uniform in [0, 1]
(Beta(1, 1), as both papers train on CIFAR); each image's partner is given by one permutation.

torchvision and kornia offer both, but draw from torch's global generator instead of one of ours,
and mix class indices alone, where soft labels and losses between logits must be mixed as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from bench.recipes import Mixing

Mixed = tuple[Tensor, float]
"""Images ``(N, C, S, S)`` and λ, the share of each that is its own."""

Targets = tuple[tuple[float | Tensor, Tensor], ...]
"""Labels of a batch with their shares in the loss, which sum to 1."""


def mixup(images: Tensor, partners: Tensor, rng: Generator) -> Mixed:
    """λ · image + (1 - λ) · partner (Zhang et al., ICLR 2018, arXiv:1710.09412, section 2).

    Args:
        images: ``(N, C, S, S)``.
        partners: an image for each, of the same shape.
        rng: draws λ.
    """
    share = _uniform(rng)
    return share * images + (1 - share) * partners, share


def cutmix(images: Tensor, partners: Tensor, rng: Generator) -> Mixed:
    """A box of each image replaced by the partner's (Yun et al., ICCV 2019, arXiv:1905.04899).

    The box has √(1 - λ) of the image's sides about a point drawn uniformly (equation 2) and is
    clipped at the borders. Its edges are rounded to whole pixels, and the λ handed back is counted
    in these. Differs: the release truncates half the sides, so that a box never holds more than 36
    of the 64 pixels of an 8 px image.

    Args:
        images: ``(N, C, S, S)``.
        partners: an image for each, of the same shape.
        rng: draws the box.
    """
    size = images.shape[-1]
    half = size * math.sqrt(1 - _uniform(rng)) / 2
    (top, bottom), (left, right) = (
        (round(max(0.0, centre - half)), round(min(size, centre + half)))
        for centre in (size * _uniform(rng), size * _uniform(rng))
    )
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = partners[..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / size**2


_MIX: dict[str, Callable[[Tensor, Tensor, Generator], Mixed]] = {"cutmix": cutmix, "mixup": mixup}


def mix(mixing: Mixing, images: Tensor, labels: Tensor, rng: Generator) -> tuple[Tensor, Targets]:
    """A batch mixed with a permutation of itself, and what to compare its logits with.

    Args:
        mixing: ``none`` draws nothing and hands the batch back.
        images: ``(N, C, S, S)``.
        labels: ``(N,)`` class indices or ``(N, K)`` logits.
        rng: draws the permutation and what is mixed.
    """
    if mixing == "none":
        return images, ((1.0, labels),)
    order = torch.randperm(len(images), generator=rng).to(images.device, non_blocking=True)
    mixed, share = _MIX[mixing](images, images[order], rng)
    return mixed, ((share, labels), (1 - share, labels[order]))


def mixed_loss(loss: Callable[[Tensor], Tensor], targets: Targets) -> Tensor:
    """Σ share · loss(labels).

    Args:
        loss: of one batch's logits against labels, 0-dimensional.
        targets: the labels with their shares.
    """
    if len(targets) == 1:  # its share is 1
        return loss(targets[0][1])
    return torch.stack([share * loss(labels) for share, labels in targets]).sum()


def _uniform(rng: Generator) -> float:
    return float(torch.rand((), generator=rng, dtype=torch.float64))
