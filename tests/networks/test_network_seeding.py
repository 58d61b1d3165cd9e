"""Seeded construction: what is drawn, from where, and how it is distributed."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from bench import networks, plugins
from bench.errors import ContractError
from bench.networks.initialisation import initialise
from bench.specs import DatasetSpec

SpecOf = Callable[..., DatasetSpec]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", plugins.names("networks"))
def test_a_seed_gives_the_same_network_and_another_seed_another(spec_of: SpecOf, name: str) -> None:
    spec = spec_of(1, 32)
    first, again, other = (networks.build(name, spec, seeded(seed)) for seed in (7, 7, 8))
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
    assert not torch.equal(networks.flatten(first), networks.flatten(other))


@pytest.mark.parametrize("name", ["convnet-d3-bn", "lenet", "resnet10-w8", "vit-depth1"])
def test_building_and_using_a_network_leaves_the_global_state_alone(
    spec_of: SpecOf, name: str
) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    network = networks.build(name, spec_of(1, 8), seeded(0))
    network(torch.zeros(4, 1, 8, 8))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again = networks.build(name, spec_of(1, 8), seeded(0))
    assert torch.equal(networks.flatten(network), networks.flatten(again))


def test_global_defaults_do_not_change_a_network(spec_of: SpecOf) -> None:
    expected = networks.flatten(networks.build("convnet-d1", spec_of(1, 8), seeded(0)))
    torch.set_default_dtype(torch.float64)
    try:
        built = networks.flatten(networks.build("convnet-d1", spec_of(1, 8), seeded(0)))
    finally:
        torch.set_default_dtype(torch.float32)
    assert built.dtype == torch.float32
    assert torch.equal(built, expected)


@pytest.mark.parametrize("name", ["convnet-d3-bn", "vit-depth1"])
def test_float64_has_the_weights_of_float32(spec_of: SpecOf, name: str) -> None:
    single = networks.build(name, spec_of(3, 8), seeded(0))
    double = networks.build(name, spec_of(3, 8), seeded(0), dtype=torch.float64)
    assert networks.flatten(double).dtype == torch.float64
    assert torch.equal(networks.flatten(double), networks.flatten(single).double())
    assert double(torch.zeros(2, 3, 8, 8, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("name", ["convnet-d3", "lenet", "resnet10-w32", "vit-depth1"])
def test_weights_are_distributed_as_torch_initialises_by_default(
    spec_of: SpecOf, name: str
) -> None:
    """Each tensor against one of a fresh torch layer: Kolmogorov-Smirnov, and equal bounds."""
    network = networks.build(name, spec_of(3, 32), seeded(3))
    compared = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        for layer in network.modules():
            if not isinstance(layer, nn.Conv2d | nn.Linear):
                continue
            reference = _fresh(layer)
            for parameter, other in zip(layer.parameters(), reference.parameters(), strict=True):
                ours, theirs = (p.detach().flatten()[:20_000] for p in (parameter, other))
                bound = 1 / math.sqrt(layer.weight[0].numel())
                assert ours.abs().max() <= bound
                assert stats.ks_2samp(ours, theirs).pvalue > 1e-4
                compared += 1
    assert compared > 5


def _fresh(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, layer.out_features, bias)
    size = (layer.kernel_size[0], layer.kernel_size[1])
    return nn.Conv2d(layer.in_channels, layer.out_channels, size, bias=bias)


def test_positions_and_class_token_are_standard_normal(spec_of: SpecOf) -> None:
    network = networks.build("vit-depth1", spec_of(3, 32), seeded(0))
    drawn = {name: p.detach() for name, p in network.named_parameters() if p.ndim == 3}
    assert [tuple(p.shape) for p in drawn.values()] == [(1, 65, 512), (1, 1, 512)]
    for values in drawn.values():
        assert stats.kstest(values.flatten(), "norm").pvalue > 1e-4


@pytest.mark.parametrize("norm", ["in", "bn", "gn", "ln"])
def test_norms_start_as_the_identity_map(spec_of: SpecOf, norm: str) -> None:
    network = networks.build(f"convnet-d2-w8-{norm}", spec_of(1, 8), seeded(0))
    kinds = (nn.GroupNorm, nn.BatchNorm2d, nn.LayerNorm)
    layers = [layer for layer in network.modules() if isinstance(layer, kinds)]
    assert len(layers) == 2
    for layer in layers:
        assert torch.equal(layer.weight, torch.ones_like(layer.weight))
        assert torch.equal(layer.bias, torch.zeros_like(layer.bias))
    for name, buffer in network.named_buffers():
        assert torch.equal(buffer, torch.full_like(buffer, "running_var" in name))


def test_a_network_can_be_built_and_differentiated_under_fake_tensors(spec_of: SpecOf) -> None:
    """As a forecast of a method does that draws a network in each step."""
    with FakeTensorMode():
        network = networks.build("convnet-d3-bn", spec_of(3, 32), seeded(0))
        loss = network(torch.zeros(2, 3, 32, 32)).sum()
        gradients = torch.autograd.grad(loss, list(network.parameters()))
    assert [g.shape for g in gradients] == list(networks.parameter_shapes(network).values())


def test_a_module_that_no_rule_fills_breaks_the_contract() -> None:
    with pytest.raises(ContractError, match=r"PReLU has parameters .* method initialise\(rng\)"):
        initialise(nn.Sequential(nn.Linear(2, 2), nn.PReLU()), seeded(0))


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["convnet-d3", "vit"])
def test_a_seed_gives_the_same_network_on_a_gpu(spec_of: SpecOf, name: str) -> None:
    before = torch.cuda.get_rng_state()
    on_cpu = networks.build(name, spec_of(3, 32), seeded(0))
    on_gpu = networks.build(name, spec_of(3, 32), seeded(0), device="cuda")
    assert torch.equal(networks.flatten(on_gpu).cpu(), networks.flatten(on_cpu))
    on_gpu(torch.zeros(2, 3, 32, 32, device="cuda"))
    assert torch.equal(torch.cuda.get_rng_state(), before)
