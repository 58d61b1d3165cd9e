"""NAS-Bench-201 networks against an independent rendering of the skeleton, and its known sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import networks
from bench.errors import NotApplicable
from bench.evaluation import evaluate
from bench.nas import EDGES, Cell
from bench.recipes import Recipe
from bench.specs import DatasetSpec
from tests.fakes import tiny_pair

SpecOf = Callable[..., DatasetSpec]

CODES = ("333333", "222222", "000000", "421211", "333133", "303101", "111111", "444444")
MIXED = ("012340", "340012", "230410", "020100", "100030")


def counted(code: str, channels: int, cells: int, classes: int, inputs: int = 3) -> int:
    """Parameters by arithmetic: weights of convolutions, two numbers a channel of batch norm."""
    kernels = {"2": 1, "3": 9}
    stages = [channels, 2 * channels, 4 * channels]
    total = inputs * 9 * channels + 2 * channels
    for width in stages:
        total += cells * sum(kernels[d] * width**2 + 2 * width for d in code if d in kernels)
    for inside, outside in pairwise(stages):
        total += 9 * inside * outside + 9 * outside**2 + 4 * outside + inside * outside
    return total + 2 * stages[2] + (stages[2] + 1) * classes


@pytest.mark.parametrize(
    ("code", "parameters"),
    [
        ("333333", 1_531_546),
        ("222222", 241_306),
        ("000000", 73_306),
        ("421211", 129_306),
        ("333133", 1_288_506),
    ],
)
def test_parameter_counts_are_the_published_ones(
    spec_of: SpecOf, code: str, parameters: int
) -> None:
    assert networks.count_parameters(f"nas201-{code}", spec_of(3, 32)) == parameters


@pytest.mark.parametrize(("channels", "cells", "classes"), [(16, 5, 10), (8, 1, 100), (4, 2, 3)])
@pytest.mark.parametrize("code", [*CODES, *MIXED])
def test_parameters_are_those_of_every_edge_of_every_cell(
    spec_of: SpecOf, code: str, channels: int, cells: int, classes: int
) -> None:
    name = f"nas201-c{channels}-n{cells}-{code}"
    expected = counted(code, channels, cells, classes)
    assert networks.count_parameters(name, spec_of(3, 32, classes)) == expected


def test_without_modifiers_it_is_the_papers_resnet(spec_of: SpecOf) -> None:
    plain, full = (
        networks.build(name, spec_of(1, 8), torch.Generator().manual_seed(0))
        for name in ("nas201", "nas201-c16-n5-303101")
    )
    assert torch.equal(networks.flatten(plain), networks.flatten(full))


@pytest.mark.parametrize("code", [*CODES, *MIXED])
@pytest.mark.parametrize(("channels", "size_px"), [(1, 8), (3, 32)])
def test_stages_halve_the_map_and_double_the_channels(
    spec_of: SpecOf, code: str, channels: int, size_px: int
) -> None:
    network = networks.build(f"nas201-c4-n1-{code}", spec_of(channels, size_px), torch.Generator())
    assert isinstance(network.features, nn.Sequential)
    shapes, x = [], torch.rand(2, channels, size_px, size_px)
    for layer in network.features:
        x = layer(x)
        shapes.append(tuple(x.shape[1:]))
    stages = [(4 * 2**stage, size_px // 2**stage, size_px // 2**stage) for stage in range(3)]
    assert shapes[1:6] == [stages[0], stages[0], stages[1], stages[1], stages[2]]
    assert shapes[-1] == (16, 1, 1)


class Reference:
    """The same network as plain arithmetic in float64, statistics of the batch."""

    def __init__(self, weights: Iterator[Tensor]) -> None:
        self.weights = weights

    def norm(self, x: Tensor) -> Tensor:
        mean = x.mean((0, 2, 3), keepdim=True)
        variance = x.var((0, 2, 3), correction=0, keepdim=True)
        scale, shift = next(self.weights), next(self.weights)
        x = (x - mean) / (variance + 1e-5).sqrt()
        return x * scale[:, None, None] + shift[:, None, None]

    def block(self, x: Tensor, stride: int = 1) -> Tensor:
        weight = next(self.weights)
        x = F.conv2d(x * (x > 0), weight, stride=stride, padding=weight.shape[-1] // 2)
        return self.norm(x)

    def pool(self, x: Tensor) -> Tensor:
        """Mean over the neighbours that exist."""
        kernel = torch.ones(x.shape[1], 1, 3, 3, dtype=x.dtype)
        total = F.conv2d(x, kernel, padding=1, groups=x.shape[1])
        return total / F.conv2d(torch.ones_like(x), kernel, padding=1, groups=x.shape[1])

    def cell(self, x: Tensor, cell: Cell) -> Tensor:
        nodes = [x] + [torch.zeros_like(x)] * 3
        for (source, target), operation in zip(EDGES, cell.operations, strict=True):
            if operation in ("nor_conv_1x1", "nor_conv_3x3"):
                nodes[target] = nodes[target] + self.block(nodes[source])
            elif operation != "none":
                value = nodes[source]
                value = self.pool(value) if operation == "avg_pool_3x3" else value
                nodes[target] = nodes[target] + value
        return nodes[3]

    def logits(self, x: Tensor, cell: Cell) -> Tensor:
        x = self.norm(F.conv2d(x, next(self.weights), padding=1))
        for stage in range(3):
            if stage:
                long = self.block(self.block(x, stride=2))
                halved = x.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).mean((3, 5))
                x = long + F.conv2d(halved, next(self.weights))
            x = self.cell(x, cell)
        x = self.norm(x).relu().mean((2, 3))
        return F.linear(x, next(self.weights), next(self.weights))


@pytest.mark.parametrize("code", [*CODES, *MIXED])
def test_the_network_is_its_definition(spec_of: SpecOf, code: str) -> None:
    rng = torch.Generator().manual_seed(0)
    name = f"nas201-c4-n1-{code}"
    network = networks.build(name, spec_of(2, 8), rng, dtype=torch.float64)
    with torch.no_grad():
        for parameter in network.parameters():  # so that no norm is the identity
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng))
    x = torch.randn(5, 2, 8, 8, generator=rng, dtype=torch.float64)
    reference = Reference(iter([parameter.detach() for parameter in network.parameters()]))
    expected = reference.logits(x, Cell.from_code(code))
    assert torch.allclose(network(x), expected, rtol=1e-9, atol=1e-9)


def test_a_cell_that_is_cut_off_answers_the_same_to_every_image(spec_of: SpecOf) -> None:
    network = networks.build("nas201-c4-n1-222000", spec_of(1, 8), torch.Generator())
    logits = network(torch.rand(6, 1, 8, 8))
    assert torch.equal(logits, logits[:1].expand_as(logits))


@pytest.mark.parametrize("code", ["303101", "000000", "012340"])
def test_the_engine_trains_it_on_digits_of_any_last_batch(code: str) -> None:
    """60 images in batches of 59: one image must be enough to train on."""
    pair = tiny_pair()
    recipe = Recipe(epochs=2, batch=59, augmentation="none")
    (outcome,) = evaluate(pair.train, f"nas201-c4-n1-{code}", recipe, pair.test, [0])
    assert 0 < outcome.accuracy <= 1


def test_testing_uses_the_statistics_of_training(spec_of: SpecOf) -> None:
    network = networks.build("nas201-c4-n1", spec_of(1, 8), torch.Generator().manual_seed(0))
    images = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    network(images)
    network.eval()
    with torch.no_grad():
        assert torch.allclose(network(images[:1]), network(images)[:1], atol=1e-6)


@pytest.mark.parametrize(("size_px", "sentence"), [(4, "8 px or more"), (30, "multiple of 4 px")])
def test_sizes_that_do_not_halve_twice_are_refused(
    spec_of: SpecOf, size_px: int, sentence: str
) -> None:
    with pytest.raises(NotApplicable, match=sentence):
        networks.build("nas201", spec_of(3, size_px), torch.Generator())
