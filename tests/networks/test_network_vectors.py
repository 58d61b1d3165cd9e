"""Flat parameter vectors: a copy out, views back in, one order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.func import functional_call

from bench import networks
from bench.errors import InvalidValue
from bench.specs import DatasetSpec

SpecOf = Callable[..., DatasetSpec]


def test_flat_parameters_survive_the_round_trip_in_order(spec_of: SpecOf) -> None:
    network = networks.build("convnet-d2-w8", spec_of(3, 8), torch.Generator())
    flat = networks.flatten(network)
    pieces = networks.unflatten(network, flat)
    assert len(flat) == networks.count_parameters("convnet-d2-w8", spec_of(3, 8))
    assert list(pieces) == [name for name, _ in network.named_parameters()]
    assert {name: piece.shape for name, piece in pieces.items()} == networks.parameter_shapes(
        network
    )
    for name, parameter in network.named_parameters():
        assert torch.equal(pieces[name], parameter)


@pytest.mark.parametrize("name", ["convnet-d3-w8", "resnet10-w8", "lenet"])
def test_a_functional_call_with_another_networks_vector_is_that_network(
    spec_of: SpecOf, name: str
) -> None:
    one, other = (
        networks.build(name, spec_of(1, 8), torch.Generator().manual_seed(seed)) for seed in (0, 1)
    )
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    moved = functional_call(one, networks.unflatten(one, networks.flatten(other)), (images,))
    assert torch.equal(moved, other(images))


def test_gradients_flow_back_to_the_flat_vector(spec_of: SpecOf) -> None:
    network = networks.build("convnet-d1-w8", spec_of(1, 8), torch.Generator().manual_seed(0))
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    flat = networks.flatten(network).requires_grad_()
    output = functional_call(network, networks.unflatten(network, flat), (images,))
    (gradient,) = torch.autograd.grad(output.square().sum(), flat)
    own = torch.autograd.grad(network(images).square().sum(), list(network.parameters()))
    assert torch.allclose(gradient, torch.cat([piece.flatten() for piece in own]))


@pytest.mark.parametrize("layers", [1, 2])
def test_a_snapshot_does_not_follow_the_training(layers: int) -> None:
    """Also where the network is a single tensor, which needs no concatenation."""
    network = nn.Sequential(*[nn.Linear(3, 3, bias=False, device="meta") for _ in range(layers)])
    network.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1.0)
        snapshot = networks.flatten(network)
        for parameter in network.parameters():
            parameter.fill_(2.0)
    assert torch.equal(snapshot, torch.ones(9 * layers))
    assert not snapshot.requires_grad


def test_a_vector_of_another_length_is_refused(spec_of: SpecOf) -> None:
    network = networks.build("mlp-w2", spec_of(1, 8), torch.Generator())
    with pytest.raises(InvalidValue, match=r"shape \(5,\) does not fit a network of 166 param"):
        networks.unflatten(network, torch.zeros(5))
