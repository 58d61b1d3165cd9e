"""Estimates: medians of equal work, counted work for students, and nothing guessed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench import networks
from bench.estimates import Estimates, Seconds
from bench.planning import Job, jobs
from bench.recipes import Recipe
from bench.records import Cost, Costs, Record
from bench.specs import Budget
from bench.trials import Trial
from tests.fakes import SPEC
from tests.records import record_of
from tests.test_planning import TRIAL

SPECS = {"tiny": SPEC}


def took(trial: Trial, distill: float, evaluate: float) -> Record:
    """A record of a trial with these seconds; a tenth of the first was preparation."""
    costs = Costs(
        prepare=Cost(seconds=0.1 * distill, peak_bytes=0),
        distill=Cost(seconds=0.9 * distill, peak_bytes=0),
        evaluate=Cost(seconds=evaluate, peak_bytes=0),
    )
    return record_of(trial, cost=costs)


def job_of(*trials: Trial) -> Job:
    (job,) = jobs(trials)
    return job


def other(**changes: Any) -> Trial:
    return replace(TRIAL, distillation=replace(TRIAL.distillation, **changes))


def test_work_that_was_done_before_takes_its_median() -> None:
    history = [took(TRIAL, distill, evaluate) for distill, evaluate in ((1, 5), (9, 6), (2, 70))]
    known, job = Estimates(history, SPECS), job_of(replace(TRIAL, seed=9))
    assert known.distillation(job).known == pytest.approx(2)
    assert known.evaluation(job) == Seconds(6)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "dc"},
        {"dataset": "other"},
        {"budget": Budget("ipc", 2)},
        {"network": "mlp"},
        {"parameters": {"iterations": 11, "lr_images": 1.0}},
    ],
)
def test_other_distillations_are_unknown_not_guessed(changes: dict[str, Any]) -> None:
    known = Estimates([took(TRIAL, 1, 1)], SPECS, flops_per_second=1e9)
    assert known.distillation(job_of(other(**changes))) == Seconds(unknown=1)


def test_another_method_trains_its_students_as_long() -> None:
    known = Estimates([took(TRIAL, 1, 7)], SPECS)
    assert known.evaluation(job_of(other(method="dc"))) == Seconds(7)


def test_students_never_timed_are_counted_in_operations() -> None:
    rate = 1e9
    job = job_of(replace(TRIAL, recipe=Recipe(epochs=20)))
    expected = 3 * networks.forward_flops("convnet-d2", SPEC) * 3 * 20 / rate
    assert Estimates([], SPECS, rate).evaluation(job).known == pytest.approx(expected)
    assert Estimates([], SPECS).evaluation(job) == Seconds(unknown=1)


def test_tracks_that_share_a_student_are_counted_once() -> None:
    native = replace(TRIAL, track="native")
    longer = replace(native, recipe=Recipe(epochs=30))
    known = Estimates([took(TRIAL, 1, 7)], SPECS)
    assert known.evaluation(job_of(TRIAL, native)) == Seconds(7)
    assert known.evaluation(job_of(TRIAL, longer)) == Seconds(7, unknown=1)


def test_what_the_store_holds_is_not_distilled_again() -> None:
    merged = replace(TRIAL, merged_seeds=(100,))
    held = {TRIAL.distillation.key}
    known = Estimates([took(TRIAL, 2, 7)], SPECS, held=held.__contains__)
    assert known.distillation(job_of(TRIAL)) == Seconds()
    assert known.distillation(job_of(other(method="dc"))) == Seconds(unknown=1)
    assert known.distillation(job_of(merged)) == Seconds(2)  # the other of its two
    assert known.by_trial([job_of(TRIAL)]) == {TRIAL.id: 7}


def test_seconds_add_up() -> None:
    assert Seconds(1.5, 2) + Seconds(2.0, 1) == Seconds(3.5, 3)


def test_a_set_merged_of_several_waits_for_all_of_them() -> None:
    merged = replace(TRIAL, merged_seeds=(100, 200))
    history = [took(TRIAL, distill=2, evaluate=5), took(merged, distill=99, evaluate=15)]
    known, job = Estimates(history, SPECS), job_of(replace(merged, seed=9))
    assert known.distillation(job) == Seconds(6)  # the sum of three says nothing of one
    assert known.evaluation(job) == Seconds(15)
    counted = Estimates([], SPECS, 1e9)
    alone = counted.evaluation(job_of(TRIAL)).known
    assert counted.evaluation(job).known == pytest.approx(3 * alone)


def test_a_generator_takes_its_own_distillation_and_the_students_of_what_it_serves() -> None:
    source = replace(TRIAL.distillation, budget=Budget("inpc", 1))
    served = replace(TRIAL, distillation=source, deployed=Budget("inpc", 50))
    known = Estimates([took(served, distill=2, evaluate=5)], SPECS)
    assert known.distillation(job_of(replace(served, deployed=None))) == Seconds(2)
    assert known.evaluation(job_of(replace(served, seed=9))) == Seconds(5)
    assert known.evaluation(job_of(replace(served, deployed=None))) == Seconds(unknown=1)


def test_the_first_trial_of_a_job_waits_for_the_distillation_and_shared_students_take_nothing() -> (
    None
):
    native, longer = replace(TRIAL, track="native"), replace(TRIAL, recipe=Recipe(epochs=30))
    known = Estimates([took(TRIAL, 2, 5), took(longer, 2, 9)], SPECS)
    seconds = known.by_trial([job_of(TRIAL, native, longer)])
    assert seconds == {TRIAL.id: 7, native.id: 0, longer.id: 9}
