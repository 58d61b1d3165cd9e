"""RandAugment and AutoAugment as kornia renders them: policies on pixels in [0, 1].

kornia chooses the operations once a batch; magnitudes' signs and, in AutoAugment, whether and how
strongly an operation is applied differ from image to image. Images leave model-input space for the
policy, are clipped to [0, 1] there, and return. Nothing is differentiable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Generator, Tensor

from bench.randomness import child_seed

if TYPE_CHECKING:
    from bench.preprocessing import Preprocessing
    from bench.specs import DatasetSpec

NAMES = ("autoaugment", "randaugment")

RANDAUGMENT_OPERATIONS = 2
"""Operations a batch: N of Cubuk et al. 2020, arXiv:1909.13719, for ResNet-50 on ImageNet."""

RANDAUGMENT_MAGNITUDE = 9
"""Strength of every operation, of 30: M of the same setting."""


@dataclass(frozen=True)
class PixelPolicy:
    """A random map of pixels, wrapped for images in model-input space.

    Attributes:
        policy: maps ``(N, 3, S, S)`` floats in [0, 1] to such, drawing from torch's global CPU
            generator.
        preprocessing: the way to pixels and back.
    """

    policy: Callable[[Tensor], Tensor]
    preprocessing: Preprocessing

    @torch.no_grad()
    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        """Change ``images`` ``(N, C, S, S)``; the global generator is left as it was."""
        channels = images.shape[1]
        pixels = self.preprocessing.inverse(images).clamp(0, 1)
        with _global_generator(child_seed(rng)):
            # saturation needs three channels; equal ones stay equal under every operation
            changed = self.policy(pixels.expand(-1, 3, -1, -1))
        return self.preprocessing.encode(changed[:, :channels].clamp(0, 1))


def build(name: str, spec: DatasetSpec, preprocessing: Preprocessing) -> PixelPolicy:
    """The policy ``name``, one of :data:`NAMES`, with AutoAugment's set of policies by dataset."""
    from kornia.augmentation.auto import AutoAugment, RandAugment

    policy: Callable[[Tensor], Tensor]
    if name == "randaugment":
        policy = RandAugment(
            RANDAUGMENT_OPERATIONS, RANDAUGMENT_MAGNITUDE, transformation_matrix_mode="skip"
        )
    else:
        policy = AutoAugment(autoaugment_policy(spec), transformation_matrix_mode="skip")
    return PixelPolicy(policy, preprocessing)


def autoaugment_policy(spec: DatasetSpec) -> Literal["svhn", "imagenet", "cifar10"]:
    """The published policy nearest to a dataset: digits, large images, or small ones.

    AutoAugment (Cubuk et al. 2019, arXiv:1805.09501) searched policies on SVHN, ImageNet and
    CIFAR-10 only.
    """
    if not spec.mirror:
        return "svhn"
    return "imagenet" if spec.size_px >= 64 else "cifar10"


@contextmanager
def _global_generator(seed: int) -> Iterator[None]:
    """Seed torch's global CPU generator for a while.

    ``torch.manual_seed`` would seed every accelerator's too, and nothing would set those back.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
