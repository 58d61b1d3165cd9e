"""Gradient matching asks for no more than it compares, and gets the same numbers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import networks
from bench.matching import gradient_distance, matched_parameters
from bench.randomness import generator
from tests.fakes import SPEC


def images_gradient(network: nn.Module, weights: list[nn.Parameter]) -> tuple[Tensor, Tensor]:
    """The distance between a real and a synthetic batch, and its gradient for the latter."""
    real, synthetic = (
        torch.randn(count, *SPEC.shape, generator=generator("matching", count)) for count in (16, 4)
    )
    synthetic.requires_grad_()

    def gradients(images: Tensor, *, keep_graph: bool) -> tuple[Tensor, ...]:
        labels = torch.ones(len(images), dtype=torch.int64)
        loss = F.cross_entropy(network(images), labels)
        return torch.autograd.grad(loss, weights, create_graph=keep_graph)

    target = gradients(real, keep_graph=False)
    distance = gradient_distance(target, gradients(synthetic, keep_graph=True))
    (found,) = torch.autograd.grad(distance, synthetic)
    return distance.detach(), found


@pytest.mark.parametrize("name", ["convnet-d2-w8", "convnet-d1-w8-ln", "resnet10-w4", "mlp-w8"])
def test_biases_that_nobody_asks_for_change_not_a_bit(name: str) -> None:
    network = networks.build(name, SPEC, generator("matching", name))
    matched = matched_parameters(network)
    assert 0 < len(matched) < len(list(network.parameters()))
    distance, found = images_gradient(network, matched)
    expected_distance, expected = images_gradient(network, list(network.parameters()))
    assert torch.equal(distance, expected_distance)
    assert torch.equal(found, expected)
