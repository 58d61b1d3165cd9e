"""Measured beside reported, and claims under audit: only printed numbers, in units that hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from bench.records import Record
from bench.specs import Budget
from bench.statistics import summarize
from leaderboard.reported import ReportedValue, budget_of, lines, reported
from leaderboard.site.beside import gap_in_deviations, pairs
from leaderboard.site.boards import boards
from leaderboard.site.claims import claims
from leaderboard.tables import Table, tables

Sample = Callable[..., list[Record]]

PLACE = {"dataset": "cifar10", "budget": 50, "architecture": "convnet-d3"}


def printed(mean: float, std: float | None, variant: str = "") -> ReportedValue:
    return ReportedValue(
        paper="p",
        table="t",
        network="",
        mean=mean,
        std=std,
        printed="",
        variant=variant,
        labels="",
        notes="",
    )


def distilled_with(network: str, records: Iterable[Record]) -> list[Table]:
    """The tables of these records, as if their methods had distilled with this network."""
    return [
        replace(table, rows=tuple(replace(row, network=network) for row in table.rows))
        for table in tables(records)
    ]


def test_a_gap_is_counted_in_combined_deviations() -> None:
    measured = summarize([0.56, 0.64])  # mean 0.60, deviation 0.04
    assert gap_in_deviations(measured, printed(0.50, 0.03)) == pytest.approx(0.10 / 0.05)
    assert gap_in_deviations(measured, printed(0.65, 0.03)) == pytest.approx(-1)


def test_a_gap_has_no_unit_where_one_side_states_no_deviation() -> None:
    assert gap_in_deviations(summarize([0.5, 0.6]), printed(0.5, None)) is None
    assert gap_in_deviations(summarize([0.5]), printed(0.5, 0.1)) is None
    assert gap_in_deviations(summarize([0.5, 0.5]), printed(0.5, 0.0)) is None


def test_a_gap_to_a_variant_of_the_method_has_no_unit() -> None:
    assert gap_in_deviations(summarize([0.5, 0.6]), printed(0.5, 0.1, "iterations=1000")) is None


def test_only_the_same_cell_is_compared(sample: Sample) -> None:
    same = sample("dm", [0.5, 0.6], dataset="cifar10", budget=10, architecture="convnet-d3")
    other = sample("dm", [0.5, 0.6], dataset="cifar10", budget=10, architecture="convnet-d2")
    found = pairs(boards(distilled_with("convnet-d3", same + other)))
    values = reported("cifar10", Budget("ipc", 10), "dm", "convnet-d3", "convnet-d3")
    assert values
    assert tuple(pair.value for pair in found) == values
    assert all(math.isclose(pair.gap, 0.55 - pair.value.mean) for pair in found)
    assert {pair.row.architecture for pair in found} == {"convnet-d3"}


def test_sets_distilled_with_other_networks_stand_beside_other_numbers(sample: Sample) -> None:
    records = sample("apm", [0.5, 0.6], **PLACE)
    printed_beside = {
        network: [pair.value.printed for pair in pairs(boards(distilled_with(network, records)))]
        for network in ("resnet18", "vgg11", "convnet-d2-w32")
    }
    assert printed_beside == {
        "resnet18": ["61.7 ± 0.3"],
        "vgg11": ["55.2 ± 0.3"],
        "convnet-d2-w32": [],
    }


def test_a_row_with_changes_stands_beside_no_number(sample: Sample) -> None:
    preset = sample("apm", [0.5, 0.6], **PLACE)
    changed = {"parameters": {"iterations": 7, "lr_images": 1.0}, "preset": "quick iterations=7"}
    found = pairs(
        boards(distilled_with("resnet18", preset + sample("apm", [0.7, 0.8], **PLACE, **changed)))
    )
    assert [pair.row.title for pair in found] == ["apm"]
    alone = distilled_with("resnet18", sample("apm", [0.7, 0.8], **PLACE, **changed))
    assert pairs(boards(alone)) == []


def test_the_numbers_of_every_claim_are_printed_where_it_says() -> None:
    stated = {
        (
            row["paper"],
            row["table"],
            row["dataset"],
            budget_of(row),
            row["method"],
            row["eval_arch"],
            f"{row['mean']} ± {row['std']}" if row["std"] else row["mean"],
        )
        for row in lines()
        if row["metric"] == "accuracy"
    }
    for claim in claims():
        for number in claim.numbers:
            where = (number.dataset, Budget.parse(number.budget), number.method)
            wanted = (number.paper, number.table, *where, number.architecture, number.printed)
            assert wanted in stated, (claim.id, number)


def test_claims_have_names_of_their_own_and_stand_by_paper() -> None:
    found = claims()
    assert len({claim.id for claim in found}) == len(found)
    papers = [claim.paper for claim in found]
    assert papers == [paper for paper in dict.fromkeys(papers) for p in papers if p == paper]
