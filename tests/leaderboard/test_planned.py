"""The installed rules tell whether they would plan a contributed trial."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench import datasets, planning
from bench.planning import Request, Sweep
from bench.recipes import Recipe
from bench.specs import Budget
from bench.trials import Trial
from leaderboard.planned import unplanned
from leaderboard.validation import objection
from tests.records import record_of

SWEEPS = (Sweep(method="dm", parameter="iterations", values=(7, 9)),)
GRIDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ipc-grid", {"methods": ("dm", "model-pool-kd", "whole")}),
    ("ipc-grid", {"changes": {"dm": {"iterations": 7}}, "budgets": (Budget("ipc", 3),)}),
    ("ablation", {"sweeps": SWEEPS, "changes": {"dm": {"lr_images": 2.0}}}),
    ("cross-arch", {"networks": ("mlp", "vgg11")}),
    ("label-robust", {}),
    ("merge", {}),
    ("merge", {"budgets": (Budget("ipc", 7),)}),
    ("redeploy", {"methods": ("dim",), "budgets": (Budget("inpc", 10),)}),
    ("ipc-grid", {"methods": ("dm", "whole"), "precision": "bf16"}),
    ("nas201", {"methods": ("dm",), "precision": "tf32"}),
)


def trials(protocol: str, **wishes: Any) -> list[Trial]:
    """What the quick tier plans on digits for two seeds."""
    rules = planning.load_rules(protocol, "quick")
    specs = {"digits": datasets.describe("digits")}
    asked: dict[str, Any] = {"methods": ("dm",), "seeds": 2, "checksums": {"digits": "d" * 64}}
    return list(rules.plan(Request(specs=specs, **(asked | wishes))))


@pytest.mark.parametrize(("protocol", "wishes"), GRIDS)
def test_what_a_run_may_ask_for_is_planned(protocol: str, wishes: dict[str, Any]) -> None:
    planned = trials(protocol, **wishes)
    assert planned
    assert {unplanned(record_of(trial)) for trial in planned} == {""}


def test_the_truth_of_an_architecture_search_has_seeds_of_its_own() -> None:
    planned = trials("nas201", methods=("whole",), seeds=1)
    (after,) = {trial.seed for trial in planned} - {0}
    assert after >= 10_000
    assert {unplanned(record_of(trial)) for trial in planned} == {""}


def reseeded(trial: Trial, seed: int) -> Trial:
    return replace(trial, distillation=replace(trial.distillation, seed=seed), seed=seed)


def test_other_trials_than_the_rules_plan_are_told() -> None:
    (trial, *_) = trials("ipc-grid")
    for other in (
        reseeded(trial, 777),
        reseeded(trial, 1000),  # a selection seed
        replace(trial, merged_seeds=(100,)),
        replace(trial, architecture="convnet-d2"),
        replace(trial, recipe=Recipe(epochs=9999)),
        replace(trial, recipe=Recipe(epochs=9999, precision="bf16")),
        replace(trial, distillation=replace(trial.distillation, network="mlp")),
        replace(trial, distillation=replace(trial.distillation, parameters={"iterations": 5})),
    ):
        sentence = unplanned(record_of(other))
        assert sentence.startswith("is no trial that the rules of ipc-grid v1 (quick) plan")


@pytest.mark.parametrize("stated", ["fp8", None, ["bf16"]], ids=str)
def test_a_precision_that_there_is_not_is_told(stated: Any) -> None:
    (trial, *_) = trials("ipc-grid", precision="bf16")
    record = record_of(trial)
    other = record.model_copy(
        update={"id": "f" * 64, "recipe": record.recipe | {"precision": stated}}
    )
    assert "is no trial" in unplanned(other)


def test_merged_seeds_must_be_those_of_the_rules() -> None:
    merged = next(trial for trial in trials("merge") if trial.merged_seeds)
    chosen = replace(merged, merged_seeds=tuple(seed + 1 for seed in merged.merged_seeds))
    assert unplanned(record_of(merged)) == ""
    assert "is no trial" in unplanned(record_of(chosen))


def test_a_student_repeated_alone_is_no_repetition() -> None:
    (trial, *_) = trials("ipc-grid")
    record = record_of(replace(trial, seed=trial.seed + 1))
    assert "repeats the student alone" in objection(record, record.protocol_hash, ())
    assert "is no trial" in unplanned(record)


@pytest.mark.parametrize(
    "change",
    [{"protocol_hash": "f" * 64}, {"protocol": "elsewhere"}],
    ids=["other rules", "no such protocol"],
)
def test_rules_that_are_not_installed_say_nothing(change: dict[str, Any]) -> None:
    (trial, *_) = trials("ipc-grid")
    assert unplanned(record_of(replace(reseeded(trial, 777), **change))) == ""


@pytest.mark.parametrize(
    "change", [{"dataset": "mine"}, {"method": "stranger"}, {"version": 99}], ids=str
)
def test_of_what_is_not_installed_nothing_is_said(change: dict[str, Any]) -> None:
    (trial, *_) = trials("ipc-grid")
    other = replace(reseeded(trial, 777), distillation=replace(trial.distillation, **change))
    assert unplanned(record_of(other)) == ""


def test_the_largest_budget_is_answered() -> None:
    (trial, *_) = trials("ipc-grid")
    huge = replace(trial.distillation, budget=Budget("ipc", 10**9))
    assert unplanned(record_of(replace(trial, distillation=huge))) == ""
