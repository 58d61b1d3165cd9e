"""Networks with a size of their own: the same network, on images resized before it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bench import networks
from bench.networks import TooSmall
from bench.networks.resizing import Resize
from bench.specs import DatasetSpec

SpecOf = Callable[..., DatasetSpec]


def bilinear(images: Tensor, size_px: int) -> Tensor:
    """Bilinear enlargement written out: pixel centres, borders repeated."""
    side = images.shape[-1]
    places = torch.arange(size_px, dtype=torch.float64)
    centres = ((places + 0.5) * side / size_px - 0.5).clamp(0, side - 1)
    low = centres.floor().long()
    high = (low + 1).clamp(max=side - 1)
    share = (centres - low).to(images.dtype)

    def along_last(x: Tensor) -> Tensor:
        return x[..., low] * (1 - share) + x[..., high] * share

    return along_last(along_last(images).mT).mT


def test_enlarging_is_bilinear() -> None:
    images = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(Resize(20)(images), bilinear(images, 20))


def test_shrinking_keeps_the_mean_and_does_not_alias() -> None:
    stripes = torch.tensor([0.0, 1.0]).repeat(1, 1, 32, 16)  # one pixel wide
    small = Resize(8)(stripes)
    torch.testing.assert_close(small[..., 1:-1], torch.full((1, 1, 8, 6), 0.5), atol=0.02, rtol=0)


@pytest.mark.parametrize("name", ["vgg11-w8", "vit-depth1-w16", "convnet-d3-w8-bn"])
def test_a_resized_network_is_the_network_on_resized_images(spec_of: SpecOf, name: str) -> None:
    images = torch.randn(3, 1, 8, 8)
    inside, outside = (
        networks.build(full_name, spec_of(1, size_px), torch.Generator().manual_seed(1)).eval()
        for full_name, size_px in ((f"{name}@32", 8), (name, 32))
    )
    torch.testing.assert_close(inside(images), outside(bilinear(images, 32)))
    assert torch.equal(networks.flatten(inside), networks.flatten(outside))


def test_a_size_of_its_own_lifts_the_smallest_size(spec_of: SpecOf) -> None:
    assert networks.smallest_size("vgg11@32") == 1
    assert networks.count_parameters("vgg11@32", spec_of(3, 8)) == 9_231_114
    with pytest.raises(TooSmall):
        networks.count_parameters("vgg11@16", spec_of(3, 64))


def test_images_learn_through_the_resizing(spec_of: SpecOf) -> None:
    """Methods that distil with such a network need second derivatives of it."""
    network = networks.build("convnet-d3-w8@16", spec_of(1, 8), torch.Generator().manual_seed(0))
    images = torch.randn(2, 1, 8, 8, requires_grad=True)
    weight = network.classifier.weight
    (gradient,) = torch.autograd.grad(network(images).square().sum(), weight, create_graph=True)
    (found,) = torch.autograd.grad(gradient.square().sum(), images)
    assert found.abs().max() > 0
