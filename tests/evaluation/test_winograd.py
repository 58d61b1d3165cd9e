"""Winograd's convolution is a convolution: values, derivatives, and how little it rounds."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.evaluation.winograd import LEAST_CHANNELS, convolution, winograd
from bench.networks import build
from bench.randomness import generator
from tests.fakes import SPEC

SIZES = [(1, 1), (2, 5), (4, 4), (7, 7), (10, 13), (16, 16)]


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=generator("winograd", *shape))


def layer(channels: int, filters: int) -> nn.Conv2d:
    plain = nn.Conv2d(channels, filters, 3, padding=1, dtype=torch.float64)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.copy_(drawn(*parameter.shape))
    return plain


@pytest.mark.parametrize("size", SIZES)
def test_equals_a_convolution_in_float64_with_both_derivatives(size: tuple[int, int]) -> None:
    plain = layer(LEAST_CHANNELS, LEAST_CHANNELS + 3)
    fast = winograd(nn.Sequential(plain))
    assert not any(isinstance(module, nn.Conv2d) for module in fast.modules())
    images = drawn(3, LEAST_CHANNELS, *size).requires_grad_()
    expected, found = plain(images), fast(images)
    torch.testing.assert_close(found, expected)
    weights = drawn(*expected.shape)
    inputs = (images, *plain.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(found, inputs, weights), torch.autograd.grad(expected, inputs, weights)
    )


@pytest.mark.parametrize("order", ["channels last", "contiguous", "strided"])
def test_the_order_of_images_in_memory_does_not_matter(order: str) -> None:
    images, weight = drawn(2, 5, 9, 9), drawn(4, 5, 3, 3)
    arranged = {
        "channels last": images.to(memory_format=torch.channels_last),
        "contiguous": images,
        "strided": images.repeat(2, 1, 1, 1)[::2].transpose(2, 3),
    }[order]
    torch.testing.assert_close(convolution(arranged, weight), F.conv2d(arranged, weight, padding=1))


def test_in_float32_it_rounds_at_most_five_times_as_much_as_a_direct_convolution() -> None:
    images, weight = drawn(8, 128, 16, 16), drawn(128, 128, 3, 3)
    exact = F.conv2d(images, weight, padding=1)

    def error(found: Tensor) -> float:
        return float((found - exact).norm() / exact.norm())

    direct = error(F.conv2d(images.float(), weight.float(), padding=1))
    assert direct < error(convolution(images.float(), weight.float())) < min(2e-6, 8 * direct)


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(LEAST_CHANNELS, LEAST_CHANNELS, 3),
        nn.Conv2d(LEAST_CHANNELS, LEAST_CHANNELS, 3, padding=1, stride=2),
        nn.Conv2d(LEAST_CHANNELS, LEAST_CHANNELS, 5, padding=1),
        nn.Conv2d(LEAST_CHANNELS, LEAST_CHANNELS, 3, padding=1, groups=2),
        nn.Conv2d(LEAST_CHANNELS, LEAST_CHANNELS, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(3, LEAST_CHANNELS, 3, padding=1),
    ],
)
def test_other_convolutions_stay(other: nn.Conv2d) -> None:
    network = winograd(nn.Sequential(nn.Sequential(other)))
    assert other in network.modules()


def test_a_network_keeps_its_parameters_and_their_names() -> None:
    network = build("convnet-d2", SPEC, generator("network"))
    before = dict(network.named_parameters())
    after = dict(winograd(network).named_parameters())
    assert after.keys() == before.keys()
    assert all(after[name] is parameter for name, parameter in before.items())


def test_the_derivative_goes_through_functional_gradients() -> None:
    plain = layer(LEAST_CHANNELS, LEAST_CHANNELS).requires_grad_(False)
    fast = winograd(nn.Sequential(copy.copy(plain)))
    images = drawn(2, LEAST_CHANNELS, 6, 6)

    def loss(weight: Tensor, network: nn.Module, name: str) -> Tensor:
        found: Tensor = torch.func.functional_call(network, {name: weight}, images)
        return found.square().sum()

    torch.testing.assert_close(
        torch.func.grad(loss)(plain.weight, fast, "0.weight"),
        torch.func.grad(loss)(plain.weight, plain, "weight"),
    )
