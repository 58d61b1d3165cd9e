"""Where single images are stored, ranks and comparisons ask them as well."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench.records import Record
from leaderboard.comparisons import compare
from leaderboard.images import compare_images, fitting, image_counts
from leaderboard.render import verdict
from leaderboard.tables import tables

MakeRecord = Callable[..., Record]

IMAGES = 45


def students(
    record: MakeRecord, method: str, right: list[list[int]]
) -> tuple[list[Record], dict[str, bytes]]:
    """A student a list of the images that it labels correctly."""
    made, correct = [], {}
    for seed, indices in enumerate(right):
        bits = np.zeros(IMAGES, np.uint8)
        bits[indices] = 1
        made.append(record(method, len(indices) / IMAGES, seed))
        correct[made[-1].id] = np.packbits(bits).tobytes()
    return made, correct


@pytest.fixture
def close(record: MakeRecord) -> tuple[list[Record], dict[str, bytes]]:
    """``a`` always knows images 0 to 29, ``b`` 0 to 28: seeds are sure, one image decides."""
    a, of_a = students(record, "a", [list(range(30))] * 4)
    b, of_b = students(record, "b", [list(range(29))] * 4)
    return [*a, *b], of_a | of_b


def test_one_image_makes_no_rank(close: tuple[list[Record], dict[str, bytes]]) -> None:
    records, correct = close
    (by_seeds,), (by_images,) = tables(records), tables(records, correct=correct)
    assert [row.rank for row in by_seeds.rows] == [1, 2]
    assert [row.rank for row in by_images.rows] == [1, 1]


def test_one_image_is_no_difference(close: tuple[list[Record], dict[str, bytes]]) -> None:
    records, correct = close
    (cell,) = compare(tables(records), "a", "b", correct)
    assert cell.test.p == 0
    assert cell.images is not None
    assert cell.images.difference == pytest.approx(1 / IMAGES)
    assert cell.adjusted_p == cell.images.p
    assert "others might tell otherwise" in verdict(cell)
    (without,) = compare(tables(records), "a", "b")
    assert "a is better than b" in verdict(without)


def test_many_images_confirm_a_rank(record: MakeRecord) -> None:
    a, of_a = students(record, "a", [list(range(40))] * 3)
    b, of_b = students(record, "b", [list(range(15, 35))] * 3)
    (table,) = tables([*a, *b], correct=of_a | of_b)
    assert [row.rank for row in table.rows] == [1, 2]


@pytest.mark.parametrize("damage", ["lacking", "contradicting", "longer"])
def test_no_images_no_test(close: tuple[list[Record], dict[str, bytes]], damage: str) -> None:
    records, correct = close
    key = records[0].id
    if damage == "lacking":
        del correct[key]
    else:
        correct[key] = b"\xff" * 6 if damage == "contradicting" else correct[key] + b"\0\0"
    (table,) = tables(records)
    a, b = table.rows
    assert compare_images(a, b, correct) is None


@pytest.mark.parametrize(
    ("accuracy", "bits"), [(0.5, b"\x0f"), (0.25, b"\x03"), (0.75, None), (None, None)]
)
def test_a_record_has_the_oldest_correctness_of_its_accuracy(
    record: MakeRecord, accuracy: float | None, bits: bytes | None
) -> None:
    assert fitting((b"\x0f", b"\x03", b"\xf0"), record("dm", accuracy)) == bits


@pytest.mark.parametrize(
    ("bits", "accuracy", "counts"),
    [
        (b"\xf0", 0.5, {8}),
        (b"\xe0", 3 / 7, {7}),
        (b"\x00", 0.0, set(range(1, 9))),
        (b"\xff", 0.5, set()),
        (b"", 0.5, set()),
    ],
)
def test_the_number_of_images_follows_from_the_accuracy(
    bits: bytes, accuracy: float, counts: set[int]
) -> None:
    assert image_counts(bits, accuracy) == counts
