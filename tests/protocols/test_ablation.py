"""``ablation``: one parameter at a time, and a table for each that was swept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench import cards
from bench.errors import BenchError, InvalidValue, UnknownName
from bench.planning import Request, Sweep
from bench.records import Cost, Costs, Record
from bench.specs import Budget
from bench.studies import Estimate
from bench.trials import TIERS, Tier, Trial
from protocols.ablation import ABLATION, QUICK
from tests.fakes import SPEC
from tests.records import record_of
from tests.test_planning import TRIAL

BATCHES = Sweep(method="dm", parameter="batch_real", values=("8", "16"))
RATES = Sweep(method="dm", parameter="lr_images", values=("1", "2", "4"))


def plan(*sweeps: Sweep, **changes: Any) -> list[Trial]:
    given: dict[str, Any] = {
        "methods": ("dm",),
        "specs": {"tiny": SPEC},
        "checksums": {},
        "budgets": (Budget("ipc", 1),),
        "seeds": 2,
        "sweeps": sweeps,
    }
    return list(QUICK.plan(Request(**given | changes)))


@pytest.mark.parametrize("tier", TIERS)
def test_the_rules_sweep_what_the_cards_know_in_at_least_two_values(tier: Tier) -> None:
    for sweep in ABLATION[tier].sweeps:
        assert sweep.parameter in cards.card(sweep.method).parameters
        assert len(set(sweep.values)) > 1


def test_without_a_wish_the_rules_own_sweeps_are_run() -> None:
    trials = plan(methods=QUICK.default_methods)
    swept = {
        sweep.method: {
            trial.distillation.parameters[sweep.parameter]
            for trial in trials
            if trial.distillation.method == sweep.method
        }
        for sweep in QUICK.sweeps
    }
    assert swept == {sweep.method: set(sweep.values) for sweep in QUICK.sweeps}


def test_every_value_is_distilled_once_a_seed_and_everything_else_stays() -> None:
    trials = plan(RATES)
    base = cards.resolve("dm", "quick", "tiny", Budget("ipc", 1)).parameters
    assert len({trial.distillation.key for trial in trials}) == 3 * 2
    for trial in trials:
        found = dict(trial.distillation.parameters)
        assert found.pop("lr_images") in (1.0, 2.0, 4.0)
        assert found == {key: value for key, value in base.items() if key != "lr_images"}


def test_two_sweeps_are_run_beside_each_other_not_crossed() -> None:
    values = {
        (trial.distillation.parameters["lr_images"], trial.distillation.parameters["batch_real"])
        for trial in plan(RATES, BATCHES)
    }
    assert values == {(1.0, 64), (2.0, 64), (4.0, 64), (1.0, 8), (1.0, 16)}


def test_a_change_of_the_users_holds_in_every_value() -> None:
    trials = plan(RATES, changes={"dm": {"batch_real": "5"}})
    assert {trial.distillation.parameters["batch_real"] for trial in trials} == {5}


@pytest.mark.parametrize(
    ("sweep", "changes", "error", "sentence"),
    [
        (RATES, {"methods": ("random",)}, InvalidValue, "nothing to sweep of random in the quick"),
        (RATES, {"changes": {"dm": {"lr_images": 1}}}, InvalidValue, "both set and swept"),
        (replace(RATES, parameter="lr"), {}, UnknownName, "No parameter of dm named 'lr'"),
        (replace(RATES, values=("fast",)), {}, InvalidValue, "give a value of type float"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(
    sweep: Sweep, changes: dict[str, Any], error: type[BenchError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        plan(sweep, **changes)


# the study


def scored(trial: Trial, accuracy: float | None, seconds: float, peak_bytes: int) -> Record:
    costs = Costs(
        prepare=Cost(seconds=1.0, peak_bytes=0),
        distill=Cost(seconds=seconds, peak_bytes=peak_bytes),
    )
    return record_of(trial, accuracy, status="diverged" if accuracy is None else "ok", cost=costs)


def made(*sweeps: Sweep, accuracy: float | None = 0.5) -> list[Record]:
    trials = plan(*sweeps, tracks=("standard",))
    return [scored(trial, accuracy, 2.0 + trial.seed, 10 + trial.seed) for trial in trials]


def test_a_row_holds_accuracy_and_cost_of_one_value() -> None:
    (found,) = QUICK.studies(made(RATES))
    assert found.title == "dm by lr_images: tiny, ipc 1, standard track"
    assert [row[0] for row in found.rows] == ["1.0", "2.0", "4.0"]
    accuracy, seeds, prepare, distill, peak = found.rows[0][1:]
    assert isinstance(accuracy, Estimate)
    assert (accuracy.value, accuracy.n, seeds) == (0.5, 2, 2)
    assert (prepare, distill, peak) == (1.0, 2.5, 11)


def test_values_are_in_the_order_of_numbers_not_of_texts() -> None:
    (found,) = QUICK.studies(made(replace(RATES, values=("10", "9", "0.5"))))
    assert [row[0] for row in found.rows] == ["0.5", "9.0", "10.0"]


def test_each_swept_parameter_has_a_table_of_what_agrees_otherwise() -> None:
    by_batch, by_rate = QUICK.studies(made(RATES, BATCHES))
    assert [row[0] for row in by_batch.rows] == ["8", "16", "64"]  # the preset came with the rates
    assert [row[0] for row in by_rate.rows] == ["1.0", "2.0", "4.0"]


def test_a_value_that_diverged_keeps_its_row_and_is_told() -> None:
    records = [
        *made(replace(RATES, values=("1",))),
        *made(replace(RATES, values=("2",)), accuracy=None),
    ]
    (found,) = QUICK.studies(records)
    assert found.rows[1][1:3] == (None, 0)
    assert "dm (lr_images=2.0): 2 × diverged." in found.notes


def test_a_single_value_so_far_makes_no_table() -> None:
    assert QUICK.studies(made(replace(RATES, values=("1",)))) == []
    assert QUICK.studies([scored(TRIAL, 0.5, 1.0, 1)]) == []
