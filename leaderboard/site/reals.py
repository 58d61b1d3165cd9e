"""Real training images for the gallery, where the dataset is at hand and is the one recorded."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.records import Record

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data import RealSet
    from bench.preprocessing import Preprocessing

CHUNK = 4096
"""Real images compared at a time."""


class Reals:
    """Training sets by name, each read at most once.

    Args:
        data_root: where datasets are looked for; ``None`` for the usual place.
    """

    def __init__(self, data_root: Path | None) -> None:
        self._load = cache(lambda name, space: _training_set(name, space, data_root))

    def of(self, record: Record) -> RealSet | None:
        """The images that the record's method saw, or ``None`` where they are not at hand."""
        return self._matching(record, "normalize")

    def whitening(self, record: Record) -> Preprocessing | None:
        """The ZCA whitening of these images, fitted or from the cache."""
        real = self._matching(record, "zca")
        return real.preprocessing if real else None

    def _matching(self, record: Record, space: str) -> RealSet | None:
        real, checksum = self._load(record.trial.dataset, space)
        return real if checksum == record.dataset.checksum else None


def _training_set(
    name: str, space: str, data_root: Path | None
) -> tuple[RealSet, str] | tuple[None, None]:
    """All training images and the checksum of the whole dataset."""
    from bench import datasets

    try:
        if not datasets.facts(name, data_root).present:
            return None, None
        real = datasets.load(name, data_root=data_root, preprocessing=space).train
        return real, datasets.facts(name, data_root).checksum or ""
    except BenchError:  # no such dataset here, or its files are broken: no pictures of it
        return None, None


def nearest(pixels: Tensor, real: RealSet) -> tuple[Tensor, Tensor]:
    """For each image the real one at the smallest Euclidean distance; of equals the first.

    Args:
        pixels: ``(n, C, H, W)`` floats in [0, 1].
        real: the images to search.

    Returns:
        Root mean square differences ``(n,)``, and positions ``(n,)`` int64 in ``real``.
    """
    import torch

    queries = pixels.flatten(1).double()
    best = torch.full((len(queries),), torch.inf, dtype=torch.float64)
    index = torch.zeros(len(queries), dtype=torch.int64)
    for start in range(0, len(real), CHUNK):
        chunk = real.pixels[start : start + CHUNK].flatten(1).double().div_(255)
        # exact differences: the expanded square cancels badly where images are equal
        distances = torch.cdist(queries, chunk, compute_mode="donot_use_mm_for_euclid_dist")
        closest, where = distances.min(1)
        better = closest < best
        best = torch.where(better, closest, best)
        index = torch.where(better, where + start, index)
    return best / queries.shape[1] ** 0.5, index
