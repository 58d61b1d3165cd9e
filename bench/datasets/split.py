"""The published split rule: which images of a class are held out, the same everywhere for ever.

Within each class the images with the smallest SHA-256 of ``"<key>:<index>"`` are held out, where
``index`` is the position in stored order, from 0. It needs no random generator, so no version of
any library can change it. Two splits use it:

- **validation** (key: the dataset's name, one in 10): every choice that a method, a preset or a
  recipe makes is made on the held-out tenth of the *training* images;
- **test** (key: ``"<name>/test"``), only for datasets that come without a test part: one in 4 of
  scikit-learn's digits, one in 5 of a folder or parquet file with a single part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256

VALIDATION_ONE_IN = 10


def held_out(labels: Iterable[int], *, key: str, one_in: int) -> list[int]:
    """Positions held out, ascending.

    Of a class with n images, n / ``one_in`` rounded half to even are held out, but at least one
    and never all.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        members[label].append(index)
    chosen: list[int] = []
    for indices in members.values():
        count = min(max(1, round(len(indices) / one_in)), len(indices) - 1)
        chosen += sorted(indices, key=lambda i: sha256(f"{key}:{i}".encode()).digest())[:count]
    return sorted(chosen)


def kept_and_held_out(
    labels: Iterable[int], *, key: str, one_in: int
) -> tuple[list[int], list[int]]:
    """All positions in two parts, each ascending: those kept and those :func:`held_out`."""
    everything = list(labels)
    out = held_out(everything, key=key, one_in=one_in)
    excluded = set(out)
    return [index for index in range(len(everything)) if index not in excluded], out
