"""Dropout from a seed of the network's own."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from scipy import stats

from bench import networks
from bench.networks.dropout import Dropout
from bench.specs import DatasetSpec

SpecOf = Callable[..., DatasetSpec]


def dropout(seed: int, rate: float = 0.1) -> Dropout:
    layer = Dropout(rate)
    layer.initialise(torch.Generator().manual_seed(seed))
    return layer


def test_the_share_that_is_dropped_is_binomial_and_the_rest_is_scaled() -> None:
    dropped = dropout(0)(torch.ones(100_000))
    kept = dropped != 0
    assert torch.allclose(dropped[kept], torch.tensor(1 / 0.9))
    assert stats.binomtest(int((~kept).sum()), 100_000, 0.1).pvalue > 1e-3


def test_calls_draw_afresh_and_a_seed_repeats_them() -> None:
    ones = torch.ones(1000)
    first, second = dropout(0), dropout(0)
    masks = [first(ones) for _ in range(3)]
    assert all(torch.equal(second(ones), mask) for mask in masks)
    assert not torch.equal(masks[0], masks[1])
    assert not torch.equal(dropout(1)(ones), masks[0])


def test_evaluation_drops_nothing_and_draws_nothing() -> None:
    layer, ones = dropout(0), torch.ones(1000)
    assert torch.equal(layer.eval()(ones), ones)
    assert torch.equal(layer.train()(ones), dropout(0)(ones))


def test_gradients_pass_where_numbers_pass() -> None:
    x = torch.ones(1000, requires_grad=True)
    y = dropout(0)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, y.detach())


def test_nothing_is_drawn_for_shapes_without_numbers() -> None:
    assert dropout(0)(torch.ones(3, device="meta")).shape == (3,)


def test_a_resumed_network_drops_what_the_uninterrupted_one_drops(spec_of: SpecOf) -> None:
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    network = networks.build("vit-depth1", spec_of(1, 8), torch.Generator().manual_seed(0))
    network(images)
    saved = copy.deepcopy(network.state_dict())
    expected = network(images)
    resumed = networks.build("vit-depth1", spec_of(1, 8), torch.Generator().manual_seed(1))
    resumed.load_state_dict(saved)
    assert torch.equal(resumed(images), expected)


def test_layers_of_a_network_drop_independently(spec_of: SpecOf) -> None:
    network = networks.build("vit", spec_of(1, 8), torch.Generator().manual_seed(0))
    seeds = [layer.seed for layer in network.modules() if isinstance(layer, Dropout)]
    assert len(seeds) == len(set(seeds)) == 1 + 3 * 6
