"""Two rows compared image by image, where the correctness of single test images is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from bench.records import Record
from bench.statistics import Comparison, paired_bootstrap
from leaderboard.rows import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Correct = Mapping[str, bytes]
"""Packed per-image correctness by trial id."""


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


def compare_images(a: Row, b: Row, correct: Correct) -> Comparison | None:
    """A paired bootstrap over the test images; the students stay as they are.

    Returns:
        Difference in accuracy; ``None`` unless the correctness of every student of both is stored.
    """
    first, second = _measured(a), _measured(b)
    images = _common_count([*first, *second], correct)
    if images is None:
        return None
    right = [_right(students, correct, images) for students in (first, second)]
    return paired_bootstrap(right[0], right[1], (len(first), len(second)))


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


def _right(students: Sequence[Record], correct: Correct, images: int) -> NDArray[np.int64]:
    """For each test image how many students are right, ``(images,)``."""
    import numpy as np

    packed = np.stack([np.frombuffer(correct[student.id], np.uint8) for student in students])
    right: NDArray[np.int64] = np.unpackbits(packed, axis=1, count=images).sum(0, dtype=np.int64)
    return right
