"""Building networks by name, from a generator alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

from bench import plugins
from bench.errors import ContractError, InvalidValue
from bench.networks.initialisation import initialise
from bench.networks.names import SPELLINGS, NetworkName, parse
from bench.networks.network import Network, TooSmall
from bench.networks.resizing import Resize
from bench.specs import DatasetSpec


def build(
    name: str,
    spec: DatasetSpec,
    rng: torch.Generator,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Network:
    """A fresh network in training mode, initialised as PyTorch does by default.

    Weights are drawn on the CPU in float32 and then moved, so that a seed gives the same network
    on every device and in every precision. Torch's global generators are left alone.

    Args:
        name: a registered network with modifiers, such as ``convnet-d3-w64-bn`` or ``vgg11@32``.
        spec: the images it takes and the classes it tells apart.
        rng: a CPU generator.
        device: where the network goes.
        dtype: floating-point type of parameters and buffers.

    Raises:
        UnknownName: no such network or modifier.
        InvalidValue: a modifier that this network does not take.
        NotApplicable: the network cannot take images of this size.
    """
    network = _blueprint(name, spec)
    _replace_tensors(network, _blank)
    initialise(network, rng)
    _replace_tensors(
        network, lambda tensor: tensor.to(device, _type(tensor, dtype), non_blocking=True)
    )
    return network


def count_parameters(name: str, spec: DatasetSpec) -> int:
    """Learnable numbers of a network; nothing is allocated."""
    return sum(parameter.numel() for parameter in _blueprint(name, spec).parameters())


def forward_flops(name: str, spec: DatasetSpec) -> float:
    """Floating-point operations of one image's forward pass, counted without computing them."""
    from torch.utils.flop_counter import FlopCounterMode

    network = _blueprint(name, spec).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, *spec.shape, device="meta"))
    return float(counter.get_total_flops())


def smallest_size(name: str) -> int:
    """Height and width in pixels of the smallest images that a network takes.

    The network says so itself when it is offered a single pixel. VGG11 also takes 28 px, below
    its 32 px, because it pads them.

    Raises:
        UnknownName: no such network or modifier.
        InvalidValue: a modifier that this network does not take.
    """
    pixel = DatasetSpec(
        name="a pixel", classes=("one", "other"), channels=1, size_px=1, mean=(0.0,), std=(1.0,)
    )
    try:
        _blueprint(name, pixel)
    except TooSmall as error:
        return error.smallest_px
    return 1


def _blueprint(name: str, spec: DatasetSpec) -> Network:
    """The network on the meta device: shapes without memory and without draws."""
    parsed = parse(name)
    factory: Callable[..., Network] = plugins.load("networks", parsed.base)
    _check_modifiers(name, parsed, factory)
    seen = spec if parsed.size_px is None else replace(spec, size_px=parsed.size_px)
    # some versions of torch refuse batch norm's counter on the meta device under fake tensors
    with unset_fake_temporarily(), torch.device("meta"):
        network = factory(seen, **parsed.modifiers)
    if not isinstance(network, Network):
        raise ContractError(
            f"Network plug-in {parsed.base!r} returned {type(network).__name__}; "
            f"it must return a bench.networks.Network."
        )
    if parsed.size_px is not None:
        network.features = nn.Sequential(Resize(parsed.size_px), network.features)
    return network


@torch.no_grad()
def _replace_tensors(network: Network, change: Callable[[Tensor], Tensor]) -> None:
    """Put ``change`` of every parameter and buffer in its place.

    ``Module.to`` and ``to_empty`` would do, but not under fake tensors, where forecasts build.
    """
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            changed = nn.Parameter(change(parameter), parameter.requires_grad)
            setattr(module, name, changed)
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, change(buffer))


def _blank(tensor: Tensor) -> Tensor:
    """Memory for ``tensor`` on the CPU, float32 whatever torch's global default type is."""
    return torch.empty(tensor.shape, dtype=_type(tensor, torch.float32), device="cpu")


def _type(tensor: Tensor, dtype: torch.dtype) -> torch.dtype:
    """``dtype``, unless ``tensor`` counts something (batches that batch norm has seen)."""
    return dtype if tensor.is_floating_point() else tensor.dtype


def _check_modifiers(name: str, parsed: NetworkName, factory: Callable[..., Network]) -> None:
    parameters = inspect.signature(factory).parameters.values()
    taken = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name in SPELLINGS]
    for keyword in parsed.modifiers:
        if keyword not in taken:
            offers = "; ".join(f"{known}: {', '.join(SPELLINGS[known])}" for known in taken)
            raise InvalidValue(
                f"Network {name!r}: {parsed.base} takes no {keyword}. "
                f"Its modifiers: {offers or 'none'}."
            )
