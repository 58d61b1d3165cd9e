"""Two rows compared image by image, where the correctness of single test images is stored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.randomness import derive_seed
from bench.records import Record
from bench.statistics import RESAMPLES, Comparison, paired_bootstrap
from leaderboard.rows import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Correct = Mapping[str, bytes]
"""Packed per-image correctness by trial id."""

UNLIKELY = 1e-12
"""A chance that is none."""


def image_counts(correct: bytes, accuracy: float) -> set[int]:
    """Numbers of test images that fill these bytes and give this accuracy; empty if none does."""
    right = int.from_bytes(correct).bit_count()
    possible = range(max(1, 8 * len(correct) - 7), 8 * len(correct) + 1)
    return {n for n in possible if abs(right / n - accuracy) < 1e-6}


def fitting(candidates: Iterable[bytes], record: Record) -> bytes | None:
    """The correctness that gives a record's accuracy, of all that are stored of its trial.

    Of several the oldest, so that no line appended later displaces what was published.
    """
    accuracy = record.metrics.get("accuracy")
    if accuracy is None:
        return None
    return next((bits for bits in candidates if image_counts(bits, accuracy)), None)


def compare_images(
    a: Row, b: Row, correct: Correct, resamples: int = RESAMPLES
) -> Comparison | None:
    """A paired bootstrap over the test images; the students stay as they are.

    The draws depend on the two rows' names alone, not on which of them comes first.

    Returns:
        Difference in accuracy; ``None`` unless the correctness of every student of both is stored.
    """
    import numpy as np

    students = [record for row in (a, b) for record in _measured(row)]
    images = _common_count(students, correct)
    if images is None:
        return None
    ordered = sorted((a, b), key=lambda row: row.title)
    first, second = (_shares(_measured(row), correct, images) for row in ordered)
    rng = np.random.default_rng(derive_seed("images", *(row.title for row in ordered)))
    drawn = RESAMPLES if _is_certain(first - second, resamples) else resamples
    test = paired_bootstrap(first.tolist(), second.tolist(), rng, drawn)
    if test.p == 1 / (1 + drawn):  # no resample lay beyond, and none of the others would have
        test = replace(test, p=1 / (1 + resamples))
    return test if ordered[0] is a else test.swapped()


def _is_certain(steps: NDArray[np.float64], resamples: int) -> bool:
    """Whether all resamples of these differences are nearer to their mean than zero is.

    By Bernstein's inequality one of n images is further away with a chance of at most
    2 exp(-n m² / (2 s² + 2 m w / 3)), where m is the distance, s² the variance and w the largest
    deviation. Drawing more would tell the same, at a cost that grows with the number of pairs.
    """
    mean = float(steps.mean())
    widest, variance = float(abs(steps - mean).max()), float(steps.var())
    scale = 2 * variance + 2 * abs(mean) * widest / 3
    exponent = len(steps) * mean**2 / scale if scale else math.inf
    return 2 * resamples * math.exp(-exponent) < UNLIKELY


def _measured(row: Row) -> Sequence[Record]:
    return [record for record in row.records if record.status == "ok"]


def _common_count(students: Iterable[Record], correct: Correct) -> int | None:
    """How many test images there are; ``None`` where students lack or contradict one another."""
    students = list(students)
    if not all(student.id in correct for student in students):
        return None
    counts = [
        image_counts(correct[student.id], student.metrics.get("accuracy", -1.0))
        for student in students
    ]
    return max(set.intersection(*counts), default=None) if counts else None


def _shares(students: Sequence[Record], correct: Correct, images: int) -> NDArray[np.float64]:
    """For each test image the share of students that are right, ``(images,)``."""
    import numpy as np

    packed = np.stack([np.frombuffer(correct[student.id], np.uint8) for student in students])
    shares: NDArray[np.float64] = np.unpackbits(packed, axis=1, count=images).mean(0)
    return shares
