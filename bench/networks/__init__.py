"""Encoders and students under the field's names, built from a seed.

::

    network = networks.build("convnet-d3-w64-bn", spec, rng, device="cuda")
    logits = network(images)                 # (N, K)
    features = network.embed(images)         # (N, D), what the classifier sees
    flat = networks.flatten(network)         # (P,), a copy
    logits = functional_call(network, networks.unflatten(network, flat), (images,))

A network plug-in (entry points, group ``bench.networks``) is a function that takes a
:class:`~bench.specs.DatasetSpec` and returns a :class:`Network`; its keyword-only parameters are
the modifiers its name takes (:mod:`bench.networks.names`). It never draws: ``build`` does.

``import bench.networks`` is cheap: torch comes with the first name that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.networks.construction import build, count_parameters, forward_flops, smallest_size
    from bench.networks.names import parse
    from bench.networks.network import Network, TooSmall
    from bench.networks.vectors import flatten, parameter_shapes, unflatten

__all__ = [
    "Network",
    "TooSmall",
    "build",
    "count_parameters",
    "flatten",
    "forward_flops",
    "parameter_shapes",
    "parse",
    "smallest_size",
    "unflatten",
]

_HOMES = {
    "Network": "bench.networks.network",
    "TooSmall": "bench.networks.network",
    "build": "bench.networks.construction",
    "count_parameters": "bench.networks.construction",
    "forward_flops": "bench.networks.construction",
    "flatten": "bench.networks.vectors",
    "parameter_shapes": "bench.networks.vectors",
    "parse": "bench.networks.names",
    "smallest_size": "bench.networks.construction",
    "unflatten": "bench.networks.vectors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bench.networks' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
