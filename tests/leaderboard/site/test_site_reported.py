"""Measured beside reported, and claims under audit: only printed numbers, in units that hold."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from bench.records import Record
from bench.specs import Budget
from bench.statistics import summarize
from leaderboard.reported import ReportedValue, reported
from leaderboard.site.beside import gap_in_deviations, pairs
from leaderboard.site.boards import boards
from leaderboard.site.claims import claims
from leaderboard.tables import tables


def printed(mean: float, std: float | None) -> ReportedValue:
    return ReportedValue(
        paper="p", table="t", mean=mean, std=std, printed="", variant="", labels="", notes=""
    )


def test_a_gap_is_counted_in_combined_deviations() -> None:
    measured = summarize([0.56, 0.64])  # mean 0.60, deviation 0.04
    assert gap_in_deviations(measured, printed(0.50, 0.03)) == pytest.approx(0.10 / 0.05)
    assert gap_in_deviations(measured, printed(0.65, 0.03)) == pytest.approx(-1)


def test_a_gap_has_no_unit_where_one_side_states_no_deviation() -> None:
    assert gap_in_deviations(summarize([0.5, 0.6]), printed(0.5, None)) is None
    assert gap_in_deviations(summarize([0.5]), printed(0.5, 0.1)) is None
    assert gap_in_deviations(summarize([0.5, 0.5]), printed(0.5, 0.0)) is None


def test_only_the_same_cell_is_compared(sample: Callable[..., list[Record]]) -> None:
    same = sample("dm", [0.5, 0.6], dataset="cifar10", budget=10, architecture="convnet-d3")
    other = sample("dm", [0.5, 0.6], dataset="cifar10", budget=10, architecture="convnet-d2")
    found = pairs(boards(tables(same + other)))
    values = reported("cifar10", Budget("ipc", 10), "dm", "convnet-d3")
    assert values
    assert tuple(pair.value for pair in found) == values
    assert all(math.isclose(pair.gap, 0.55 - pair.value.mean) for pair in found)
    assert {pair.row.architecture for pair in found} == {"convnet-d3"}


def test_the_numbers_of_every_claim_are_printed_where_it_says() -> None:
    for claim in claims():
        for number in claim.numbers:
            cell = reported(
                number.dataset, Budget.parse(number.budget), number.method, number.architecture
            )
            assert (number.paper, number.table, number.printed) in {
                (value.paper, value.table, value.printed) for value in cell
            }, (claim.id, number)


def test_claims_have_names_of_their_own_and_stand_by_paper() -> None:
    found = claims()
    assert len({claim.id for claim in found}) == len(found)
    papers = [claim.paper for claim in found]
    assert papers == [paper for paper in dict.fromkeys(papers) for p in papers if p == paper]
