"""Average ranks, Borda points and smallest gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bench.recipes import Recipe
from bench.records import Record
from bench.statistics import smallest_gap
from leaderboard import remarks
from leaderboard.standings import Standings, gaps, standings
from leaderboard.tables import tables

MakeSample = Callable[..., list[Record]]

SPREAD = (-0.01, 0.0, 0.01)


def cells(sample: MakeSample, means: dict[str, dict[int, float]]) -> Iterator[Record]:
    for method, by_budget in means.items():
        for budget, mean in by_budget.items():
            yield from sample(method, [mean + step for step in SPREAD], budget=budget)


def only(found: list[Standings]) -> Standings:
    (standing,) = found
    return standing


def test_places_are_averaged_and_equal_means_share_theirs(sample: MakeSample) -> None:
    means = {
        "a": {1: 0.9, 10: 0.5, 50: 0.9},
        "b": {1: 0.5, 10: 0.9, 50: 0.8},
        "c": {1: 0.1, 10: 0.5, 50: 0.7},
    }
    found = only(standings(tables(cells(sample, means))))
    assert (found.cells, found.all_cells) == (3, 3)
    # places of a: 1, 2.5 and 1; of b: 2, 1 and 2; of c: 3, 2.5 and 3
    assert [(entry.method, entry.average_rank, entry.borda) for entry in found.methods] == [
        ("a", 1.5, 4.5),
        ("b", pytest.approx(5 / 3), 4.0),
        ("c", pytest.approx(8.5 / 3), 0.5),
    ]


def test_only_cells_that_every_method_fills_count(sample: MakeSample) -> None:
    means = {"a": {1: 0.9, 10: 0.1}, "b": {1: 0.5, 10: 0.9}, "c": {1: 0.1}}
    found = only(standings(tables(cells(sample, means))))
    assert (found.cells, found.all_cells) == (1, 2)
    assert [entry.method for entry in found.methods] == ["a", "b", "c"]
    assert "the 1 of 2 cells" in remarks.standing(found)


def test_average_ranks_have_one_decimal_however_many_methods(sample: MakeSample) -> None:
    means = {f"m{k:02}": dict.fromkeys(range(1, 6), 0.9 - k / 100) for k in range(14)}
    means["m12"][1] = 0.10  # the last of fourteen once, the thirteenth otherwise
    said = remarks.standing(only(standings(tables(cells(sample, means)))))
    assert "m00 1.0 (65)" in said
    assert "m12 13.2 (4)" in said


def test_no_common_cell_is_said(sample: MakeSample) -> None:
    found = only(standings(tables(cells(sample, {"a": {1: 0.9}, "b": {10: 0.5}}))))
    assert found.methods == ()
    assert "none of the 2 cells" in remarks.standing(found)


def test_ceilings_changed_presets_and_lone_methods_take_no_part(sample: MakeSample) -> None:
    changed = sample("a", [0.1, 0.2], parameters={"iterations": 5}, preset="quick iterations=5")
    records = [*cells(sample, {"a": {1: 0.9}}), *changed, *sample("whole", [1.0], budget="full")]
    assert standings(tables(records)) == []


def test_rulebooks_are_never_mixed(sample: MakeSample) -> None:
    other = sample("b", [0.1, 0.2], trial={"protocol_hash": "b" * 64})
    assert standings(tables([*sample("a", [0.1, 0.2]), *other])) == []


def test_the_smallest_gap_is_that_of_the_rows_of_one_architecture(sample: MakeSample) -> None:
    usual, deep = ([0.5, 0.52, 0.54], [0.4, 0.42, 0.44]), ([0.1, 0.2, 0.3], [0.2, 0.3, 0.4])
    records = [
        *sample("a", usual[0]),
        *sample("b", usual[1]),
        *sample("a", deep[0], architecture="deep"),
        *sample("b", deep[1], architecture="deep"),
        *sample("whole", [0.0, 1.0], budget="full"),
    ]
    (table,) = tables(records)
    assert gaps(table) == {
        "convnet-d2-w32": smallest_gap(usual),
        "deep": smallest_gap(deep),
    }
    assert "points on deep" in remarks.smallest_gap(table)


def test_the_smallest_gap_is_that_of_the_rows_that_are_ranked(sample: MakeSample) -> None:
    a, b = [0.5, 0.52, 0.54], [0.4, 0.42, 0.44]
    ranked = [*sample("a", a), *sample("b", b)]
    noisy = {"parameters": {"iterations": 5}, "preset": "quick iterations=5"}
    same = [*sample("b", b), *sample("c", b), *sample("b", [0.0, 1.0], **noisy)]
    (table,) = tables([*ranked, *same])
    assert gaps(table) == {"convnet-d2-w32": smallest_gap([a, b])}


def test_of_rows_ranked_apart_the_largest_gap_is_stated(sample: MakeSample) -> None:
    steady, noisy = ([0.5, 0.52], [0.4, 0.42]), ([0.1, 0.5], [0.2, 0.6])
    other = {"recipe": Recipe(epochs=300, augmentation="none")}
    records = [
        record
        for pair, recipe in ((steady, {}), (noisy, other))
        for method, values in zip("ab", pair, strict=True)
        for record in sample(method, values, **recipe)
    ]
    (table,) = tables(records)
    assert gaps(table) == {"convnet-d2-w32": smallest_gap(noisy)}


def test_every_recipe_of_the_rules_is_a_cell_of_its_own(sample: MakeSample) -> None:
    other = {"recipe": Recipe(epochs=300, augmentation="none"), "time": "2025-01-01T00:00:00Z"}
    records = [
        *cells(sample, {"a": {1: 0.9}, "b": {1: 0.5}}),
        *sample("a", [0.1, 0.2], **other),
        *sample("b", [0.3, 0.4], **other),
    ]
    found = only(standings(tables(records)))
    assert (found.cells, found.all_cells) == (2, 2)
    assert [entry.average_rank for entry in found.methods] == [1.5, 1.5]


def test_one_method_has_no_gap(sample: MakeSample) -> None:
    (table,) = tables(sample("a", [0.1, 0.2]))
    assert remarks.smallest_gap(table) == ""
