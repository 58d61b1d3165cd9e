"""Real datasets: found, read once into checksummed tensors, memory-mapped ever after.

::

    pair = datasets.load("digits")                      # train and test as RealSet
    pair = datasets.load("digits", split="validation")  # both from the training images
    spec = datasets.describe("cifar10")                 # no torch, no data
    known = datasets.facts("cifar10")                   # present? cached? checksum?

Names are those of ``plugins.names("datasets")``, or ``name=path`` (``name=path@size``) for images
of your own. A package adds a dataset by registering a :class:`Dataset`.
"""

from __future__ import annotations

from bench.datasets.dataset import Dataset, Part, Reader
from bench.datasets.inventory import Facts, Verification, facts, verify
from bench.datasets.loading import RealPair, describe, load
from bench.datasets.sources import fetch

__all__ = [
    "Dataset",
    "Facts",
    "Part",
    "Reader",
    "RealPair",
    "Verification",
    "describe",
    "facts",
    "fetch",
    "load",
    "verify",
]
