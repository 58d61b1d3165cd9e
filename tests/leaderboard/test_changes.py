"""What a row's title names: every setting that is not the installed card's or the rules' own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench import datasets, planning
from bench.planning import Request
from bench.specs import Budget
from bench.trials import Distillation, Trial
from leaderboard.tables import tables
from tests.records import record_of


def trials(protocol: str = "ipc-grid", **wishes: Any) -> list[Trial]:
    """What the quick tier plans of ``dm`` on digits, standard track, for one seed."""
    asked: dict[str, Any] = {"methods": ("dm",), "seeds": 1, "tracks": ("standard",)}
    asked |= {"budgets": (Budget("ipc", 1),), "checksums": {"digits": "d" * 64}}
    specs = {"digits": datasets.describe("digits")}
    rules = planning.load_rules(protocol, "quick")
    return list(rules.plan(Request(specs=specs, **(asked | wishes))))


def changed(trial: Trial, **fields: Any) -> Trial:
    """The trial with another distillation."""
    source: Distillation = replace(trial.distillation, **fields)
    return replace(trial, distillation=source)


def titles(*planned: Trial) -> list[str]:
    """The titles of the rows that records of these trials fill, table by table."""
    found = tables(record_of(trial, 0.5) for trial in planned)
    return [row.title for table in found for row in table.rows]


@pytest.mark.parametrize("stated", ["quick", "quick iterations=7"])
def test_parameters_are_named_without_a_usual_row_whatever_the_record_states(stated: str) -> None:
    (trial,) = trials(changes={"dm": {"iterations": 7}})
    assert titles(replace(trial, preset=stated)) == ["dm (iterations=7)"]


def test_the_value_of_the_card_is_no_change_whatever_the_record_states() -> None:
    (trial,) = trials()
    iterations = trial.distillation.parameters["iterations"]
    assert titles(replace(trial, preset=f"quick iterations={iterations}")) == ["dm"]


def test_each_budget_has_the_preset_of_its_own() -> None:
    planned = trials(methods=("dsa",), budgets=(Budget("ipc", 1), Budget("ipc", 10)))
    few, many = (dict(trial.distillation.parameters) for trial in planned)
    assert few != many
    assert titles(*planned) == ["dsa", "dsa"]
    (crossed,) = titles(changed(planned[1], parameters=few))
    assert f"iterations={few['iterations']}" in crossed


def test_a_generator_is_known_by_what_it_was_distilled_for() -> None:
    planned = trials(methods=("dim",), budgets=(Budget("inpc", 10),))
    assert planned[0].deployed
    assert titles(*planned) == ["dim"]


def test_merged_sets_are_named_where_no_other_row_stands() -> None:
    planned = trials("merge", budgets=(Budget("ipc", 2),))
    assert titles(*planned) == [
        "dm",
        "dm (merged-sets=2)",
        "dm (merged-sets=3)",
        "dm (merged-sets=4)",
        "dm",
        "dm (merged-sets=5)",
    ]


def test_another_precision_is_named_where_no_other_row_stands() -> None:
    assert titles(*trials(precision="bf16")) == ["dm (recipe.precision=bf16)"]


def test_another_network_is_named_where_no_other_row_stands() -> None:
    (student, *_) = trials("cross-arch", networks=("mlp",))
    assert titles(student) == ["dm (distilled-with=mlp)"]
    unknown = replace(student, protocol_hash="f" * 64)
    assert titles(unknown) == ["dm"]  # of other rules nobody knows the network


@pytest.mark.parametrize(
    ("protocol", "field", "kinds"),
    [("aug-robust", "augmentation", 7), ("label-robust", "labels", 2)],
)
def test_a_recipe_that_rules_vary_is_named_where_no_other_row_stands(
    protocol: str, field: str, kinds: int
) -> None:
    planned = [trial for trial in trials(protocol) if trial.method == "dm"]
    assert len(planned) == kinds
    usual = planning.load_rules(protocol, "quick").recipe  # type: ignore[attr-defined]
    for trial in planned:
        (title,) = titles(trial)
        assert (title == "dm") == (trial.recipe == usual)
        assert (f"recipe.{field}=" in title) == (trial.recipe != usual)


def test_networks_with_a_recipe_of_their_own_are_not_marked() -> None:
    planned = trials("cross-arch")
    assert len({trial.recipe for trial in planned}) > 1
    assert {title for trial in planned for title in titles(trial)} == {"dm"}


OTHERS: tuple[dict[str, Any], ...] = (
    {"method": "stranger"},
    {"version": 99},
    {"parameters": {"iterations": 7, "unheard-of": True}},
)


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_where_the_card_is_not_that_of_the_record_the_other_rows_tell(
    other: dict[str, Any],
) -> None:
    (trial,) = trials()
    usual = changed(trial, **other)
    name, parameters = usual.method, usual.distillation.parameters
    fewer = changed(usual, parameters=parameters | {"iterations": 3})  # type: ignore[operator]
    assert titles(usual) == [name]
    assert titles(usual, replace(fewer, preset="quick iterations=3")) == [
        name,
        f"{name} (iterations=3)",
    ]


def test_an_older_adapter_is_told_from_the_installed_one_with_its_changes() -> None:
    (now,) = trials()
    fewer = dict(now.distillation.parameters) | {"iterations": 3}
    newer = changed(now, version=now.distillation.version + 1)
    older = replace(changed(now, parameters=fewer), preset="quick iterations=3")
    version = now.distillation.version
    assert titles(newer, older) == ["dm", f"dm (adapter-version={version}, iterations=3)"]


def test_one_change_of_two_versions_makes_two_titles() -> None:
    (trial,) = trials(changes={"dm": {"iterations": 7}})
    other = changed(trial, version=trial.distillation.version + 1)
    found = titles(trial, other)
    assert len(set(found)) == 2
    assert all("iterations=7" in title for title in found)
