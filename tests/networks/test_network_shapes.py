"""Sizes: parameter counts of the literature, and every network on every size it takes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch

from bench import networks, plugins
from bench.errors import NotApplicable
from bench.networks import TooSmall
from bench.specs import DatasetSpec

SpecOf = Callable[..., DatasetSpec]

TWINS = ("alexnet-bn", "vgg11-bn", "resnet10-bn", "resnet18-bn", "resnet18-ap-bn")
VARIANTS = (
    *("convnet-d2-w32", "convnet-d3-w8-nopool", "vit-depth3-heads4"),
    # layer norm knows the size of every map: a wrong one does not run
    *("convnet-d3-w8-ln", "alexnet-ln", "vgg11-ln", "resnet10-w8-ln", "resnet10-ap-w8-ln"),
)


@pytest.mark.parametrize(
    ("name", "size_px", "classes", "parameters"),
    [
        ("convnet-d3", 32, 10, 320_010),
        ("convnet-d3", 32, 100, 504_420),
        ("convnet-d4", 64, 200, 857_160),
        ("convnet-d4", 64, 1000, 2_496_360),
        ("lenet", 32, 10, 62_006),
        ("vgg11", 32, 10, 9_231_114),
        ("vgg11-bn", 32, 10, 9_231_114),
        ("resnet10", 32, 10, 4_903_242),
        ("resnet18", 32, 10, 11_173_962),
        ("resnet18-bn", 32, 10, 11_173_962),
        # 512·4·4 instead of 512 numbers reach the classifier
        ("resnet18-ap", 32, 10, 11_173_962 + 512 * 15 * 10),
        ("mlp", 32, 10, (3072 + 1) * 128 + 129 * 128 + 129 * 10),
        (
            "alexnet",
            32,
            10,
            (3 * 25 + 1) * 128
            + (128 * 25 + 1) * 192
            + (192 * 9 + 1) * 256
            + (256 * 9 + 1) * 192
            + (192 * 9 + 1) * 192
            + (192 * 16 + 1) * 10,
        ),
        (
            "vit",
            32,
            10,
            (48 + 1) * 512  # patches
            + (64 + 2) * 512  # positions and class token
            + 6 * (2 * 1024 + 512 * 1536 + 513 * 512 + 2 * 513 * 512)
            + 1024
            + 513 * 10,
        ),
    ],
)
def test_parameter_counts_are_those_of_the_literature(
    spec_of: SpecOf, name: str, size_px: int, classes: int, parameters: int
) -> None:
    assert networks.count_parameters(name, spec_of(3, size_px, classes)) == parameters


@pytest.mark.parametrize("name", ["convnet-d3", "vgg11", "alexnet"])
def test_28_px_are_padded_to_32_px(spec_of: SpecOf, name: str) -> None:
    """So an MNIST network differs from a one-channel 32-px one in nothing that is learned."""
    counts = [networks.count_parameters(name, spec_of(1, size_px)) for size_px in (28, 32)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["lenet", "alexnet", "vgg11", "resnet18", "resnet18-ap"])
def test_64_px_are_halved_first_so_the_32_px_network_fits(spec_of: SpecOf, name: str) -> None:
    counts = [networks.count_parameters(name, spec_of(3, size_px)) for size_px in (32, 64)]
    assert counts[0] == counts[1]


def test_lenet_for_mnist_has_its_famous_size(spec_of: SpecOf) -> None:
    assert networks.count_parameters("lenet", spec_of(1, 28)) == 61_706


@pytest.mark.parametrize(
    ("name", "channels", "size_px", "dim"),
    [
        ("convnet-d3", 1, 28, 128 * 4 * 4),
        ("convnet-d3", 1, 8, 128),
        ("convnet-d2-w32", 1, 8, 32 * 2 * 2),
        ("mlp", 3, 32, 128),
        ("lenet", 3, 64, 84),
        ("alexnet", 1, 28, 192 * 4 * 4),
        ("vgg11", 3, 32, 512),
        ("resnet18", 1, 28, 512),
        ("resnet18-ap", 1, 28, 512 * 3 * 3),
        ("resnet18-ap", 3, 32, 512 * 4 * 4),
        ("vit", 3, 64, 512),
    ],
)
def test_the_embedding_has_the_published_size(
    spec_of: SpecOf, name: str, channels: int, size_px: int, dim: int
) -> None:
    network = networks.build(name, spec_of(channels, size_px), torch.Generator())
    assert network.embed(torch.rand(2, channels, size_px, size_px)).shape == (2, dim)
    assert network.classifier.in_features == dim


@pytest.mark.parametrize(
    ("channels", "size_px"),
    [
        *[(1, 8), (1, 28), (3, 32), (3, 64)],
        *[
            pytest.param(channels, size_px, marks=pytest.mark.slow)
            for channels, size_px in product((1, 3), (8, 12, 16, 28, 32, 48, 64))
        ],
    ],
)
@pytest.mark.parametrize("name", [*plugins.names("networks"), *TWINS, *VARIANTS])
def test_images_become_finite_logits_that_tell_them_apart(
    spec_of: SpecOf, name: str, size_px: int, channels: int
) -> None:
    spec = spec_of(channels, size_px, 5)
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(2, channels, size_px, size_px, generator=rng)
    if (32 if size_px == 28 else size_px) < networks.smallest_size(name):
        with pytest.raises(TooSmall):
            networks.build(name, spec, rng)
        return
    network = networks.build(name, spec, rng)
    with torch.no_grad():
        logits = network(images)
        network.eval()
        assert torch.equal(network(images), network.classifier(network.embed(images)))
    assert logits.shape == (2, 5)
    assert logits.isfinite().all()
    assert not torch.allclose(logits[0], logits[1])


@pytest.mark.parametrize(
    ("name", "smallest_px"),
    [("convnet-d1", 2), ("convnet-d3-bn", 8), ("convnet-d4", 16), ("vgg11", 32), ("mlp", 1)],
)
def test_a_network_takes_its_smallest_size_and_nothing_below(
    spec_of: SpecOf, name: str, smallest_px: int
) -> None:
    assert networks.smallest_size(name) == smallest_px
    network = networks.build(name, spec_of(1, smallest_px), torch.Generator())
    assert network(torch.rand(2, 1, smallest_px, smallest_px)).isfinite().all()
    if smallest_px > 1:
        with pytest.raises(NotApplicable, match=f"takes images of {smallest_px} px or more"):
            networks.build(name, spec_of(1, smallest_px - 1), torch.Generator())


def test_the_sentence_for_images_that_are_too_small_says_what_to_do(spec_of: SpecOf) -> None:
    with pytest.raises(NotApplicable) as caught:
        networks.build("convnet-d4", spec_of(1, 8), torch.Generator())
    assert str(caught.value) == (
        "ConvNet-D4 takes images of 16 px or more, but images of 1x8x8 has 8 px; "
        "resize the images or take a shallower network."
    )


def test_vit_refuses_images_that_patches_do_not_tile(spec_of: SpecOf) -> None:
    with pytest.raises(NotApplicable, match="resize the images to a multiple of 4 px"):
        networks.build("vit", spec_of(3, 30), torch.Generator())
