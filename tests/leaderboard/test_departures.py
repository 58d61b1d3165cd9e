"""Likely reasons of a gap: what differs from the paper's settings, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench import cards
from bench.records import Record
from bench.specs import Budget
from leaderboard.departures import departures, likely_reason
from leaderboard.rows import Row
from leaderboard.tables import Table, tables
from protocols.ipc_grid import IPC_GRID

Sample = Callable[..., list[Record]]

PLACE = {"dataset": "cifar10", "budget": 10, "architecture": "convnet-d3"}
BUDGET = Budget("ipc", 10)


@pytest.fixture
def as_in_the_paper(sample: Sample) -> tuple[Table, Row]:
    """A row of ``dm`` with every setting of its paper."""
    parameters = cards.resolve("dm", "paper", "cifar10", BUDGET).parameters
    standard = IPC_GRID["paper"].recipe
    recipe, pixels = cards.recipe_for("dm", "native", standard, "paper", "cifar10", BUDGET)
    (table,) = tables(sample("dm", [0.5, 0.6], parameters=dict(parameters), **PLACE))
    (row,) = table.rows
    dataset = row.records[0].dataset.model_copy(update={"preprocessing": pixels})
    first = row.records[0].model_copy(update={"recipe": recipe.as_dict(), "dataset": dataset})
    return table, replace(row, records=(first, *row.records[1:]))


def changed(row: Row, **fields: object) -> Row:
    return replace(row, records=(row.records[0].model_copy(update=fields), *row.records[1:]))


def test_the_papers_own_settings_are_no_departure(as_in_the_paper: tuple[Table, Row]) -> None:
    table, row = as_in_the_paper
    assert departures(table.key, row) == ()
    assert likely_reason(table.key, row, 5.0).startswith("none known")


def test_each_other_setting_is_named_with_both_values(as_in_the_paper: tuple[Table, Row]) -> None:
    table, row = as_in_the_paper
    method = row.records[0].method
    shorter = method.model_copy(update={"parameters": method.parameters | {"iterations": 7}})
    theirs = method.parameters["iterations"]
    assert departures(table.key, changed(row, method=shorter)) == (f"iterations 7, not {theirs}",)
    recipe = dict(row.recipe) | {"epochs": 3}
    (found,) = departures(table.key, changed(row, recipe=recipe))
    assert found == f"students' epochs 3, not {row.recipe['epochs']}"
    taught = changed(row, recipe=dict(row.recipe) | {"labels": "teacher"})
    assert departures(table.key, taught) == ("students' labels teacher, not own",)


def test_a_gap_within_the_spread_needs_no_reason(as_in_the_paper: tuple[Table, Row]) -> None:
    table, row = as_in_the_paper
    shorter = changed(row, recipe=dict(row.recipe) | {"epochs": 3})
    assert likely_reason(table.key, shorter, -1.9) == "no more than repetitions differ by"
    assert "epochs" in likely_reason(table.key, shorter, -2.1)
    assert "epochs" in likely_reason(table.key, shorter, None)


def test_a_method_that_is_not_installed_has_no_known_departures(sample: Sample) -> None:
    (table,) = tables(sample("foreign", [0.5, 0.6], **PLACE))
    assert departures(table.key, table.rows[0]) == ()
