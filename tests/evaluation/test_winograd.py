"""Winograd's convolution is a convolution: values, derivatives, and how little it rounds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.evaluation.winograd import LEAST_CHANNELS, convolution, derivative, winograd
from bench.networks import build
from bench.randomness import generator
from tests.fakes import SPEC

SIZES = [(1, 1), (2, 5), (4, 4), (7, 7), (10, 13), (16, 16)]


CHANNELS = [(1, 1), (3, 16), (5, 19), (16, 33), (70, 8)]
"""In and out: fewer than a register holds, as many, and some more."""


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


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (5, 6), (13, 16)])
def test_any_number_of_channels_is_right(channels: tuple[int, int], size: tuple[int, int]) -> None:
    images, weight = drawn(2, channels[0], *size), drawn(channels[1], channels[0], 3, 3)
    assert_right(images, weight)


def test_more_images_than_are_worked_on_at_once_are_right() -> None:
    assert_right(drawn(11, 7, 16, 16), drawn(6, 7, 3, 3))
    assert_right(drawn(3, 7, 40, 40), drawn(6, 7, 3, 3))


@pytest.mark.parametrize("order", ["channels last", "contiguous", "strided"])
def test_the_order_in_memory_does_not_matter(order: str) -> None:
    def arranged(tensor: Tensor) -> Tensor:
        return {
            "channels last": tensor.to(memory_format=torch.channels_last),
            "contiguous": tensor,
            "strided": tensor.repeat(2, 1, 1, 1)[::2].transpose(2, 3),
        }[order]

    assert_right(arranged(drawn(2, 18, 9, 9)), arranged(drawn(17, 18, 3, 3)), arranged)


def assert_right(
    images: Tensor, weight: Tensor, arranged: Callable[[Tensor], Tensor] = lambda tensor: tensor
) -> None:
    """The convolution and its derivative are those of PyTorch."""
    inputs = (images.requires_grad_(), weight.requires_grad_())
    expected = F.conv2d(images, weight, padding=1)
    gradient = arranged(drawn(*expected.shape))
    expected_gradients = torch.autograd.grad(expected, inputs, gradient)
    with torch.no_grad():
        torch.testing.assert_close(convolution(images, weight), expected)
        torch.testing.assert_close(derivative(images, weight, gradient), expected_gradients)


def test_in_float32_it_rounds_at_most_eight_times_as_much_as_a_direct_convolution() -> None:
    images, weight = drawn(8, 128, 16, 16), drawn(128, 128, 3, 3)
    gradient = drawn(8, 128, 16, 16)

    def direct(*tensors: Tensor) -> tuple[Tensor, ...]:
        images, weight, gradient = tensors
        inputs = (images.clone().requires_grad_(), weight.clone().requires_grad_())
        found = F.conv2d(*inputs, padding=1)
        return found.detach(), *torch.autograd.grad(found, inputs, gradient)

    def fast(*tensors: Tensor) -> tuple[Tensor, ...]:
        return convolution(*tensors[:2]), *derivative(*tensors)

    tensors = (images, weight, gradient)
    singles = tuple(tensor.float() for tensor in tensors)
    found = zip(direct(*tensors), direct(*singles), fast(*singles), strict=True)
    for exact, plain, quick in found:
        least, most = ((one - exact).norm() / exact.norm() for one in (plain, quick))
        assert most < min(3e-6, 8 * least)


def test_the_number_of_threads_does_not_matter() -> None:
    images, weight, gradient = drawn(5, 50, 16, 16), drawn(20, 50, 3, 3), drawn(5, 20, 16, 16)
    alone = convolution(images, weight), *derivative(images, weight, gradient)
    for threads in (2, 3, 8):
        torch.set_num_threads(threads)
        found = convolution(images, weight), *derivative(images, weight, gradient)
        torch.testing.assert_close(found, alone)


def test_students_in_threads_do_not_disturb_each_other() -> None:
    images, weight, gradient = drawn(9, 20, 16, 16), drawn(24, 20, 3, 3), drawn(9, 24, 16, 16)

    def work(scale: int) -> tuple[Tensor, ...]:
        torch.set_num_threads(1)
        given = scale * images
        return convolution(given, weight), *derivative(given, weight, gradient)

    alone = [work(scale) for scale in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, range(1, 9)))
    for expected, found in zip(alone, together, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


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
