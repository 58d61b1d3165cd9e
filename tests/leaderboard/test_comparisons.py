"""Two methods against each other: every pair of samples once."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from bench.errors import InvalidValue, UnknownName
from bench.recipes import Recipe
from bench.records import Record
from bench.statistics import ALPHA
from leaderboard import remarks
from leaderboard.comparisons import compare, of_methods
from leaderboard.tables import tables

MakeRecord = Callable[..., Record]
MakeSample = Callable[..., list[Record]]


def test_two_methods_are_compared_wherever_both_have_results(sample: MakeSample) -> None:
    records = [
        *sample("dm", [0.60, 0.62, 0.64]),
        *sample("random", [0.40, 0.42, 0.44]),
        *sample("dm", [0.70, 0.72], budget=10),
        *sample("random", [0.71, 0.70], budget=10),
        *sample("dm", [0.9], budget=50),
    ]
    one, ten = compare(tables(records), "dm", "random")
    assert (one.key.budget.count, ten.key.budget.count) == (1, 10)
    assert one.test.difference == pytest.approx(0.2)
    assert one.test.p is not None
    assert one.adjusted_p == pytest.approx(2 * one.test.p)
    assert ten.adjusted_p == ten.test.p


def test_a_comparison_without_a_test_leaves_the_others_alone(sample: MakeSample) -> None:
    records = [
        *sample("dm", [0.6]),
        *sample("random", [0.4]),
        *sample("dm", [0.70, 0.72], budget=10),
        *sample("random", [0.61, 0.60], budget=10),
    ]
    one, ten = compare(tables(records), "dm", "random")
    assert (one.test.p, one.adjusted_p) == (None, None)
    assert ten.adjusted_p == ten.test.p


ALL, HALF = b"\xff" * 25, b"\xf0" * 25
"""Which of 200 test images are right: every one, and every second half of a byte."""


def test_many_cells_compared_together_can_still_differ(sample: MakeSample) -> None:
    budgets = range(1, 221)
    best = [record for b in budgets for record in sample("best", [1.0] * 2, budget=b)]
    other = [record for b in budgets for record in sample("other", [0.5] * 2, budget=b)]
    correct = dict.fromkeys((r.id for r in best), ALL) | dict.fromkeys((r.id for r in other), HALF)
    compared = compare(tables([*best, *other]), "best", "other", correct)
    assert len(compared) == len(budgets)
    assert all(cell.adjusted_p is not None and cell.adjusted_p < ALPHA for cell in compared)


def test_a_comparison_the_other_way_around_says_the_same(record: MakeRecord) -> None:
    draw = Random(0)
    records, correct = [], {}
    for method in ("a", "b"):
        for seed in range(3):
            bits = draw.randbytes(25)
            right = sum(byte.bit_count() for byte in bits)
            records.append(record(method, right / 200, seed))
            correct[records[-1].id] = bits
    found = tables(records)
    (forth,), (back,) = compare(found, "a", "b", correct), compare(found, "b", "a", correct)
    assert forth.images is not None
    assert back.images == forth.images.swapped()
    assert back.adjusted_p == pytest.approx(forth.adjusted_p)


def test_changed_methods_are_compared_by_their_title(sample: MakeSample) -> None:
    changed = {"iterations": 50, "lr_images": 1.0}
    records = [
        *sample("dm", [0.5, 0.6]),
        *sample("dm", [0.3, 0.4], parameters=changed, preset="quick iterations=50"),
    ]
    (cell,) = compare(tables(records), "dm", "dm (iterations=50)")
    assert cell.test.difference == pytest.approx(0.2)


def test_comparing_an_unknown_method_suggests_the_nearest(sample: MakeSample) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'herding'"):
        compare(tables(sample("herding", [0.5, 0.6])), "herdin", "herding")


def test_comparing_methods_that_never_meet_is_refused(sample: MakeSample) -> None:
    found = tables([*sample("dm", [0.5]), *sample("random", [0.5], budget=10)])
    with pytest.raises(InvalidValue, match="No table holds results of both 'dm' and 'random'"):
        compare(found, "dm", "random")


ELSEWHERE = {"protocol": "redeploy"}
NATIVE = {"track": "native"}


def meeting(sample: MakeSample, dm: list[float], random: list[float], **place: Any) -> list[Record]:
    return [*sample("dm", dm, **place), *sample("random", random, **place)]


@pytest.mark.parametrize("place", [ELSEWHERE, NATIVE])
def test_students_that_tables_share_are_compared_and_counted_once(
    sample: MakeSample, place: dict[str, str]
) -> None:
    dm, random = [0.60, 0.62, 0.64], [0.40, 0.42, 0.44]
    records = [
        *meeting(sample, dm, random),
        *meeting(sample, dm, random, trial=place),
        *meeting(sample, [0.70, 0.72], [0.71, 0.70], budget=10),
    ]
    one, ten = compare(tables(records), "dm", "random")
    assert [len(one.keys), len(ten.keys)] == [2, 1]
    assert (one.family, ten.family) == (2, 2)
    assert one.test.p is not None
    assert one.adjusted_p == pytest.approx(2 * one.test.p)


@pytest.mark.parametrize(
    "other",
    [
        {"recipe": Recipe(epochs=5)},
        {"architecture": "mlp"},
        {"checksum": "e" * 64},
        {"method_version": 2},
    ],
    ids=lambda other: next(iter(other)),
)
def test_other_students_of_the_same_accuracy_are_another_pair(
    sample: MakeSample, other: dict[str, Any]
) -> None:
    dm, random = [0.60, 0.62, 0.64], [0.40, 0.42, 0.44]
    records = [
        *meeting(sample, dm, random),
        *meeting(sample, dm, random, trial=ELSEWHERE, **other),
    ]
    assert [cell.family for cell in compare(tables(records), "dm", "random")] == [2, 2]


def test_the_size_of_the_family_counts_tests_alone(sample: MakeSample) -> None:
    records = [
        *meeting(sample, [0.6], [0.4]),
        *meeting(sample, [0.6, 0.7], [0.4, 0.5], budget=10),
    ]
    compared = compare(tables(records), "dm", "random")
    told = "2 different pairs of samples; p (Holm) is corrected for a family of 1. "
    assert remarks.family(compared).startswith(told)


def test_a_method_is_not_compared_with_itself(sample: MakeSample) -> None:
    found = tables(sample("dm", [0.5, 0.6]))
    with pytest.raises(InvalidValue, match="'dm' cannot be compared with itself"):
        compare(found, "dm", "dm")


def variants(sample: MakeSample) -> list[Record]:
    return [
        record
        for iterations in (1000, 5, 50)
        for record in sample(
            "dm",
            [0.5, 0.6],
            parameters={"iterations": iterations},
            preset="quick" if iterations == 1000 else f"quick iterations={iterations}",
        )
    ]


def test_an_unknown_method_is_told_the_methods_and_none_of_their_variants(
    sample: MakeSample,
) -> None:
    records = [*variants(sample), *sample("random", [0.5, 0.6])]
    with pytest.raises(UnknownName, match=r"Known: dm, random\.$"):
        of_methods(records, "dm", "herding")


def test_an_unknown_variant_is_told_the_variants_of_its_method(sample: MakeSample) -> None:
    records = [*variants(sample), *sample("random", [0.5, 0.6])]
    assert of_methods(records, "dm (iterations=7)", "random") == records
    with pytest.raises(UnknownName) as refusal:
        compare(tables(records), "dm (iterations=7)", "random")
    assert str(refusal.value).endswith("Known: dm, dm (iterations=5), dm (iterations=50).")


def test_tables_of_two_methods_alone_name_their_variants_alike(sample: MakeSample) -> None:
    records = [*variants(sample), *sample("random", [0.5, 0.6]), *sample("dc", [0.1, 0.2])]
    chosen = of_methods(records, "random", "dm (iterations=5)")
    assert {record.method.name for record in chosen} == {"dm", "random"}
    whole, part = (
        compare(tables(some), "dm (iterations=5)", "random")[0] for some in (records, chosen)
    )
    assert (whole.test, whole.a.title) == (part.test, part.a.title)
