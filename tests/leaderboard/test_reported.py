"""Numbers printed in papers: found by exact cell, kept as printed."""

from __future__ import annotations

import pytest

from bench.specs import Budget
from leaderboard.reported import reported


def test_a_printed_number_is_found_with_its_table() -> None:
    (value,) = reported("fashion-mnist", Budget("ipc", 1), "random", "convnet-d3", "convnet-d3")
    assert (value.paper, value.table, value.printed) == ("dim", "table-2", "51.4 ± 3.8")
    assert value.mean == pytest.approx(0.514)
    assert value.std == pytest.approx(0.038)


def test_papers_that_disagree_are_both_named() -> None:
    values = reported("cifar10", Budget("ipc", 50), "random", "convnet-d3", "convnet-d3")
    assert {("apm", "50.2 ± 0.5"), ("dim", "43.4 ± 1.0"), ("datm", "50.6 ± 0.3")} <= {
        (value.paper, value.printed) for value in values
    }


def test_digits_of_the_printed_number_are_kept() -> None:
    values = reported("cifar10", Budget("ipc", 1), "dc", "convnet-d3", "convnet-d3")
    printed = {value.printed: value for value in values}
    assert printed["28.49"].std is None
    assert printed["28.49"].variant == "iterations=1000"


def test_the_whole_dataset_has_the_full_budget() -> None:
    values = reported("fashion-mnist", Budget("full", 0), "whole", "convnet-d3", "convnet-d3")
    assert {value.printed for value in values} == {"93.5 ± 0.1", "93.5"}


@pytest.mark.parametrize(
    ("dataset", "budget", "architecture"),
    [
        ("cifar10-jpeg75", "ipc 1", "convnet-d3"),
        ("digits", "ipc 1", "convnet-d3"),
        ("cifar10", "inpc 1", "convnet-d3"),
        ("cifar10", "ipc 1", "convnet-d3-w32"),
        ("cifar10", "ipc 3", "convnet-d3"),
    ],
)
def test_what_only_resembles_a_printed_cell_is_not_it(
    dataset: str, budget: str, architecture: str
) -> None:
    assert reported(dataset, Budget.parse(budget), "random", architecture, "convnet-d3") == ()


@pytest.mark.parametrize(
    ("network", "printed"),
    [("resnet18", ["61.7 ± 0.3"]), ("vgg11", ["55.2 ± 0.3"]), ("convnet-d3-w32", [])],
)
def test_what_was_distilled_with_another_network_is_another_cell(
    network: str, printed: list[str]
) -> None:
    values = reported("cifar10", Budget("ipc", 50), "apm", "convnet-d3", network)
    assert [value.printed for value in values] == printed


def test_numbers_of_no_stated_network_stand_beside_any() -> None:
    one, other = (
        reported("cifar10", Budget("ipc", 50), "random", "convnet-d3", network)
        for network in ("convnet-d3", "vgg11")
    )
    assert one == other
    assert {value.network for value in one} == {""}


def test_only_printed_accuracies_are_offered() -> None:
    values = reported("cifar10", Budget("ipc", 1000), "mtt", "convnet-d3", "convnet-d3")
    assert values
    assert all(0 < value.mean < 1 for value in values)
    assert not [value for value in values if "accuracy difference" in value.notes]
