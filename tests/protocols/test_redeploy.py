"""``redeploy``: images are distilled for every budget, a generator once; costs add up as spent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from bench import cards, datasets
from bench.cards import Preset, Sourced
from bench.planning import Request
from bench.records import Cost, Costs, Record
from bench.specs import Budget
from bench.studies import Estimate, Study
from bench.trials import TIERS, Tier, Trial
from protocols.redeploy import QUICK, REDEPLOY
from tests.fakes import SPEC
from tests.records import record_of


def plan(*methods: str, **changes: Any) -> list[Trial]:
    given: dict[str, Any] = {
        "methods": methods,
        "specs": {"digits": datasets.describe("digits")},
        "checksums": {},
        "seeds": 2,
    }
    return list(QUICK.plan(Request(**given | changes)))


def test_image_sets_are_distilled_for_every_budget() -> None:
    trials = plan("dm")
    assert {trial.deployed for trial in trials} == {None}
    made = {(t.distillation.budget.count, t.seed): t.distillation.key for t in trials}
    assert set(made) == {(count, seed) for count in (1, 10, 50) for seed in (0, 1)}
    assert len(set(made.values())) == 6


def test_a_generator_is_distilled_once_and_serves_every_budget() -> None:
    trials = plan("dim")
    assert {t.budget for t in trials} == {Budget("inpc", count) for count in (1, 10, 50)}
    assert len({(t.seed, t.distillation.key) for t in trials}) == 2


def test_budgets_are_served_smallest_first_in_any_order_of_asking() -> None:
    asked = tuple(Budget("ipc", count) for count in (10, 1, 3))
    counts = [t.budget.count for t in plan("dm", budgets=asked, seeds=1, tracks=("standard",))]
    assert counts == [1, 3, 10]


def test_the_whole_training_set_has_no_budget_to_change() -> None:
    assert plan("whole") == []


@pytest.mark.parametrize("tier", TIERS)
def test_students_are_trained_alike_whatever_the_budget(tier: Tier) -> None:
    rules = REDEPLOY[tier]
    request = Request(methods=("random", "dim"), specs={"tiny": SPEC}, checksums={}, seeds=1)
    standard = [trial for trial in rules.plan(request) if trial.track == "standard"]
    assert {trial.recipe for trial in standard} == {rules.recipe}
    assert {t.architecture for t in standard} == {rules.network(SPEC.size_px)}


def test_a_student_of_a_generator_has_the_recipe_for_the_budget_it_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the generator's own parameters are those of its one distillation."""
    seven = Sourced(value=7, source="this test")
    preset = Preset(budget=10, native={"epochs": seven}, parameters={"gan_epochs": seven})
    dim = cards.card("dim")
    dim = dim.model_copy(update={"preset": (*dim.preset, preset)})
    monkeypatch.setattr(cards, "card", lambda name: dim)
    trials = plan("dim", tracks=("native",), seeds=1)
    assert {t.budget.count: t.recipe.epochs for t in trials} == {1: 300, 10: 7, 50: 300}
    assert len({t.distillation.key for t in trials}) == 1


# the study


def record(trial: Trial, accuracy: float, *, prepare: float = 1.0, distill: float = 1.0) -> Record:
    """A record with these seconds, of a student that took two and a source of 1000 bytes."""
    seconds = {"prepare": prepare, "distill": distill, "evaluate": 2.0}
    costs = {phase: Cost(seconds=value, peak_bytes=0) for phase, value in seconds.items()}
    return record_of(trial, accuracy, cost=Costs(**costs, stored_bytes=1000))


def study(records: Iterable[Record]) -> Study:
    (found,) = QUICK.studies(list(records))
    return found


def column(found: Study, name: str) -> list[Any]:
    place = [head.name for head in found.columns].index(name)
    return [row[place] for row in found.rows]


SECONDS = {1: 3.0, 10: 5.0, 50: 7.0}


def test_distilling_again_adds_up_and_sampling_again_is_free() -> None:
    images = [
        record(trial, 0.5, prepare=20, distill=SECONDS[trial.budget.count])
        for trial in plan("dm", tracks=("standard",))
    ]
    generator = [
        record(trial, 0.6, prepare=2, distill=30) for trial in plan("dim", tracks=("standard",))
    ]
    found = study(images + generator)
    assert column(found, "Method") == ["dim"] * 3 + ["dm"] * 3
    assert column(found, "Budget") == [
        *("inpc 1", "inpc 10", "inpc 50"),
        *("ipc 1", "ipc 10", "ipc 50"),
    ]
    assert column(found, "To serve it first") == [32, 32, 32, 23, 25, 27]
    assert column(found, "To change to it") == [None, 0, 0, None, 5, 7]
    assert column(found, "Spent by then") == [32, 32, 32, 23, 28, 35]
    assert column(found, "One student") == [2] * 6
    assert column(found, "Stored") == [1000] * 6


def test_accuracy_is_that_of_the_repetitions_and_times_are_medians() -> None:
    trials = plan("dm", seeds=3, budgets=(Budget("ipc", 1),), tracks=("standard",))
    values = ((0.2, 3.0), (0.4, 9.0), (0.9, 4.0))
    found = study(
        record(trial, accuracy, distill=seconds)
        for trial, (accuracy, seconds) in zip(trials, values, strict=True)
    )
    assert column(found, "Accuracy %") == [Estimate.of([0.2, 0.4, 0.9])]
    assert column(found, "To serve it first") == [5.0]


def test_a_generator_that_was_distilled_for_a_budget_has_a_row_of_its_own() -> None:
    served, *_ = plan("dim", budgets=(Budget("inpc", 10),), tracks=("standard",))
    again = replace(served.distillation, budget=Budget("inpc", 10))
    found = study([record(served, 0.5), record(replace(served, distillation=again), 0.7)])
    assert [row.value for row in column(found, "Accuracy %")] == [0.5, 0.7]


def test_changed_parameters_make_another_method() -> None:
    trials = plan("dm", tracks=("standard",), budgets=(Budget("ipc", 1),))
    changed = plan(
        "dm", tracks=("standard",), budgets=(Budget("ipc", 1),), changes={"dm": {"lr_images": 5}}
    )
    found = study(record(trial, 0.5) for trial in [*trials, *changed])
    assert column(found, "Method") == ["dm", "dm (lr_images=5.0)"]


def test_tracks_have_tables_of_their_own() -> None:
    found = QUICK.studies([record(trial, 0.5) for trial in plan("dm")])
    assert [one.title for one in found] == [
        "Changing the budget: digits, standard track",
        "Changing the budget: digits, native track",
    ]


def test_what_was_never_distilled_leaves_the_sum_open_and_is_told() -> None:
    trials = plan("dm", tracks=("standard",), seeds=1)
    facts = {"status": "failed", "reason": "a bug", "metrics": {}, "cost": Costs()}
    first, middle, last = (record(trial, 0.5, prepare=0) for trial in trials)
    found = study([first, middle.model_copy(update=facts), last])
    assert column(found, "Accuracy %")[1] is None
    assert column(found, "To change to it") == [None, None, 1]
    assert column(found, "Spent by then") == [1, None, None]
    assert found.notes[-1] == "dm: 1 × failed, a bug."


def test_a_student_that_diverged_leaves_the_cost_of_its_images() -> None:
    (trial,) = plan("dm", tracks=("standard",), seeds=1, budgets=(Budget("ipc", 1),))
    ended = record(trial, 0.5).model_copy(update={"status": "diverged", "metrics": {}})
    found = study([ended])
    assert column(found, "Accuracy %") == [None]
    assert column(found, "Spent by then") == [2]
