"""Reference rows: who is planned beside whom, and what of one repetition belongs together."""

from __future__ import annotations

from typing import Any

import pytest

from bench import cards
from bench.errors import InvalidValue
from bench.planning import Request
from bench.references import (
    by_seed,
    each_repetition,
    from_best,
    reference,
    unfinished,
    with_references,
)
from bench.specs import Budget
from bench.studies import Estimate
from protocols.ipc_grid import QUICK
from tests.fakes import SPEC
from tests.records import make


def planned(
    *methods: str, references: tuple[str, ...] = ("whole", "random"), **changes: Any
) -> list[tuple[str, Budget]]:
    given: dict[str, Any] = {"specs": {"digits": SPEC}, "checksums": {}, "seeds": 1}
    request = Request(methods=methods, **given | changes)
    return with_references(QUICK, request, "digits", references)


def test_references_come_first_once_and_at_the_budgets_of_the_grid() -> None:
    assert planned("dm", "random") == [
        ("whole", Budget("full", 0)),
        ("random", Budget("ipc", 1)),
        ("random", Budget("ipc", 10)),
        ("dm", Budget("ipc", 1)),
        ("dm", Budget("ipc", 10)),
    ]


def test_references_of_a_generator_are_sets_of_as_many_images() -> None:
    assert planned("dim", budgets=(Budget("inpc", 7), Budget("ipc", 3))) == [
        ("whole", Budget("full", 0)),
        ("random", Budget("ipc", 3)),
        ("random", Budget("ipc", 7)),
        ("dim", Budget("inpc", 7)),
        ("dim", Budget("inpc", 3)),
    ]


def test_a_setting_of_a_reference_cannot_be_changed() -> None:
    with pytest.raises(InvalidValue, match=r"compares every method with herding as it is.* --set"):
        planned(
            "dm", "herding", changes={"herding": {"teacher_epochs": 7}}, references=("herding",)
        )
    assert planned("dm", changes={"dm": {"iterations": 1}}) == planned("dm")


def test_a_change_to_what_a_reference_is_anyway_is_none() -> None:
    parameters = cards.resolve("herding", "quick", "digits", Budget("ipc", 1)).parameters
    same = planned("dm", changes={"herding": parameters}, references=("herding",))
    assert same == planned("dm", references=("herding",))


def test_a_reference_is_its_newest_version_unchanged_at_that_budget() -> None:
    old, new = (make("random", 0.5, method_version=version) for version in (1, 2))
    others = [
        make("random", 0.6, preset="quick a=1", method_version=3),
        make("random", 0.7, budget=10),
        make("dm", 0.8),
    ]
    assert reference([new, *others, old], "random", Budget("ipc", 1)) == [new]
    assert reference(others, "random", Budget("ipc", 1)) == []


def test_results_stand_in_the_order_of_seeds_without_failures() -> None:
    records = [
        make("dm", 0.7, seed=2),
        make("dm", None, seed=1, status="failed", reason="a bug"),
        make("dm", 0.6, seed=0),
    ]
    assert list(by_seed(records).items()) == [(0, 0.6), (2, 0.7)]


def test_a_formula_gets_the_parts_of_one_repetition() -> None:
    first, second = {0: 0.5, 1: 0.6, 3: 0.9}, {3: 0.1, 1: 0.2, 2: 0.3}
    found = each_repetition(lambda a, b: a - b, first, second)
    assert found == pytest.approx([0.4, 0.8])  # seeds 1 and 3
    assert each_repetition(lambda a, b: a - b, first, {}) == []


def test_rows_are_compared_with_the_best_of_their_count_over_the_seeds_of_both() -> None:
    one, ten = Budget("ipc", 1), Budget("ipc", 10)
    rows: dict[tuple[Budget, str], dict[int, float]] = {
        (one, "dm"): {0: 0.5, 1: 0.7, 2: 0.9},
        (one, "random"): {1: 0.4, 2: 0.5, 3: 0.1},
        (Budget("inpc", 1), "dim"): {},
        (ten, "random"): {0: 0.8},
    }
    found = from_best(rows)
    assert found[one, "dm"] == Estimate(value=0.0, n=3)
    paired = found[one, "random"]
    assert paired is not None
    assert (paired.value, paired.n) == (pytest.approx(-0.35), 2)
    assert paired.interval is not None
    assert found[Budget("inpc", 1), "dim"] is None
    assert found[ten, "random"] == Estimate(value=0.0, n=1)


def test_only_gaps_are_reported() -> None:
    whole, half = {0: 0.1, 1: 0.2}, {1: 0.2}
    rows = {"dm": {"a": whole, "b": half}, "dc": {"a": whole, "b": {}}, "random": {"a": whole}}
    assert list(unfinished(rows, 2)) == [
        "dm: b 1 of 2 repetitions so far.",
        "dc: b 0 of 2 repetitions so far.",
    ]
    assert next(unfinished(rows, 5)) == "2 of the 5 repetitions that make a result so far."
    assert list(unfinished({"random": {"a": whole}}, 2)) == []
