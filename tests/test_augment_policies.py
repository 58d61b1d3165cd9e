"""RandAugment and AutoAugment: pixels out of model-input space and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bench.augment.policies import NAMES, PixelPolicy, autoaugment_policy, build
from bench.preprocessing import Preprocessing
from bench.randomness import generator
from bench.specs import DatasetSpec

PICTURES = DatasetSpec(
    name="pictures",
    classes=("cat", "dog"),
    channels=3,
    size_px=16,
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.25, 0.3),
)
FIGURES = replace(PICTURES, name="figures", channels=1, mean=(0.13,), std=(0.31,), mirror=False)


def pixels_of(spec: DatasetSpec, count: int = 6) -> Tensor:
    """Random uint8 pixels."""
    rng = generator("pixels", spec.name)
    return torch.randint(256, (count, *spec.shape), dtype=torch.uint8, generator=rng)


def spaces_of(spec: DatasetSpec) -> tuple[Preprocessing, Preprocessing]:
    return Preprocessing.normalize(spec), Preprocessing.fit_zca(pixels_of(spec, 50))


@pytest.mark.parametrize("spec", [PICTURES, FIGURES], ids=lambda spec: spec.name)
@pytest.mark.parametrize("name", NAMES)
def test_pixels_stay_in_range_and_change_in_either_pixel_space(name, spec):
    for preprocessing in spaces_of(spec):
        policy = build(name, spec, preprocessing)
        images = preprocessing.forward(pixels_of(spec))
        changes = 0
        for step in range(20):
            pixels = preprocessing.inverse(policy(images, generator(step)))
            assert pixels.min() > -1e-4
            assert pixels.max() < 1 + 1e-4
            changes += not torch.allclose(pixels, preprocessing.inverse(images), atol=1e-2)
        assert changes >= 10


def test_a_policy_sees_clipped_pixels_of_three_channels():
    seen: list[Tensor] = []

    def identity(pixels: Tensor) -> Tensor:
        seen.append(pixels)
        return pixels

    preprocessing = Preprocessing.normalize(FIGURES)
    images = 3 * torch.randn(4, 1, 16, 16, generator=generator("wide"))
    returned = PixelPolicy(identity, preprocessing)(images, generator(0))
    clipped = preprocessing.inverse(images).clamp(0, 1)
    assert torch.equal(seen[0], clipped.expand(-1, 3, -1, -1))
    assert torch.equal(returned, preprocessing.encode(clipped))


@pytest.mark.parametrize("name", NAMES)
def test_grey_images_come_out_as_grey_pictures_of_three_channels_do(name):
    """What a policy does to one channel is what it does to each of three equal ones."""
    single = replace(FIGURES, mirror=True)  # AutoAugment's policy for SVHN saturates nothing
    triple = replace(single, channels=3, mean=single.mean * 3, std=single.std * 3)
    grey_space, triple_space = (Preprocessing.normalize(spec) for spec in (single, triple))
    grey_policy = build(name, single, grey_space)
    triple_policy = build(name, triple, triple_space)
    images = grey_space.forward(pixels_of(single))
    for step in range(20):
        grey = grey_policy(images, generator(step))
        triples = triple_policy(images.expand(-1, 3, -1, -1), generator(step))
        torch.testing.assert_close(triples, grey.expand(-1, 3, -1, -1), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_policies_pass_no_gradient(name):
    preprocessing = Preprocessing.normalize(PICTURES)
    images = preprocessing.forward(pixels_of(PICTURES)).requires_grad_()
    policy = build(name, PICTURES, preprocessing)
    assert not any(policy(images, generator(step)).requires_grad for step in range(10))


def test_autoaugment_takes_the_policy_searched_on_the_nearest_dataset():
    assert autoaugment_policy(FIGURES) == "svhn"
    assert autoaugment_policy(PICTURES) == "cifar10"
    assert autoaugment_policy(replace(PICTURES, size_px=64)) == "imagenet"
