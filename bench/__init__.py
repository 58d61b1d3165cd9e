"""The benchmark for dataset distillation.

Four calls need no files::

    synthetic = bench.distill("dm", dataset="digits", budget=1)
    result = bench.evaluate(synthetic.images, synthetic.labels, dataset="digits")
    synthetic = bench.load("synthetic.safetensors")
    frame = bench.results()

``import bench`` is cheap: torch comes with the first call that needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import Evaluation, distill, evaluate, load, results
    from bench.data import SyntheticSet
    from bench.errors import BenchError
    from bench.generators import SyntheticGenerator
    from bench.recipes import Recipe

__version__ = "0.1.0"
__all__ = [
    "BenchError",
    "Evaluation",
    "Recipe",
    "SyntheticGenerator",
    "SyntheticSet",
    "distill",
    "evaluate",
    "load",
    "results",
]

_HOMES = {
    "BenchError": "bench.errors",
    "Evaluation": "bench.api",
    "Recipe": "bench.recipes",
    "SyntheticGenerator": "bench.generators",
    "SyntheticSet": "bench.data",
    "distill": "bench.api",
    "evaluate": "bench.api",
    "load": "bench.api",
    "results": "bench.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
