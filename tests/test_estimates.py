"""Estimates: medians of equal work, counted work for students, and nothing guessed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.estimates import Estimates, Seconds
from bench.planning import Job, jobs
from bench.recipes import Recipe
from bench.records import Cost, Costs, Environment, Record
from bench.specs import Budget
from bench.trials import Trial
from tests.records import ENVIRONMENT, record_of
from tests.test_planning import TRIAL


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
    known, job = Estimates(history), job_of(replace(TRIAL, seed=9))
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
    known = Estimates([took(TRIAL, 1, 1)], untimed=lambda trial: 3.0)
    assert known.distillation(job_of(other(**changes))) == Seconds(unknown=1)


def test_another_method_trains_its_students_as_long() -> None:
    known = Estimates([took(TRIAL, 1, 7)])
    assert known.evaluation(job_of(other(method="dc"))) == Seconds(7)


def test_students_never_timed_are_asked_for_elsewhere() -> None:
    job = job_of(replace(TRIAL, recipe=Recipe(epochs=20)))
    assert Estimates([], untimed=lambda trial: 0.1 * trial.recipe.epochs).evaluation(job).known == 2
    assert Estimates([], untimed=lambda trial: None).evaluation(job) == Seconds(unknown=1)
    assert Estimates([]).evaluation(job) == Seconds(unknown=1)
    timed = Estimates([took(TRIAL, 1, 7)], untimed=lambda trial: 0.0)
    assert timed.evaluation(job_of(TRIAL)) == Seconds(7)


# ---------------------------------------------------------------------------- devices

HERE = ENVIRONMENT


def at(**changes: Any) -> Environment:
    """Another environment than the one here."""
    return HERE.model_copy(update=changes)


TWICE_AS_FAST = at(device="CPU Otherium 3", calibration_seconds=0.25)
GPU = at(device="NVIDIA H200", driver="CUDA 13.2", calibration_seconds=1e-6)


def on(device: Environment, seconds: float, *distilled_on: Environment) -> Record:
    """A record of work that took so long on ``device``, distilling and evaluating alike."""
    record = took(TRIAL, seconds, seconds)
    cost = record.cost.model_copy(update={"distilled_on": distilled_on})
    return record.model_copy(update={"environment": device, "cost": cost})


@pytest.mark.parametrize(
    ("history", "seconds", "devices"),
    [
        ([on(HERE, 4), on(TWICE_AS_FAST, 99), on(GPU, 99)], 4, {HERE.device}),
        ([on(TWICE_AS_FAST, 3), on(GPU, 99)], 6, {TWICE_AS_FAST.device}),  # the kernel's ratio
        ([on(GPU, 99)], None, set()),  # a GPU's seconds say nothing of a CPU's
    ],
)
def test_times_are_those_of_this_device_or_scaled_from_one_of_its_kind(
    history: list[Record], seconds: float | None, devices: set[str]
) -> None:
    known, job = Estimates(history, HERE), job_of(TRIAL)
    expected = Seconds(unknown=1) if seconds is None else Seconds(seconds)
    for found in (known.distillation(job), known.evaluation(job)):
        assert found == expected
        assert found.measured_on == devices
    assert (known.distillation(job) + known.evaluation(job)).measured_on == devices


def test_a_distillation_counts_where_it_was_done_and_the_student_where_it_was_trained() -> None:
    known, job = Estimates([on(HERE, 5, GPU)], HERE), job_of(TRIAL)
    assert known.distillation(job) == Seconds(unknown=1)
    assert known.evaluation(job) == Seconds(5)


def test_students_of_another_precision_are_other_work() -> None:
    faster = Estimates([on(at(precision="bf16"), 1)], HERE)
    assert faster.evaluation(job_of(TRIAL)) == Seconds(unknown=1)
    precise = replace(TRIAL, recipe=replace(TRIAL.recipe, precision="bf16"))
    assert faster.evaluation(job_of(precise)) == Seconds(1)


def test_tracks_that_share_a_student_are_counted_once() -> None:
    native = replace(TRIAL, track="native")
    longer = replace(native, recipe=Recipe(epochs=30))
    known = Estimates([took(TRIAL, 1, 7)])
    assert known.evaluation(job_of(TRIAL, native)) == Seconds(7)
    assert known.evaluation(job_of(TRIAL, longer)) == Seconds(7, unknown=1)


def test_what_the_store_holds_is_not_distilled_again() -> None:
    merged = replace(TRIAL, merged_seeds=(100,))
    held = {TRIAL.distillation.key}
    known = Estimates([took(TRIAL, 2, 7)], held=held.__contains__)
    assert known.distillation(job_of(TRIAL)) == Seconds()
    assert known.distillation(job_of(other(method="dc"))) == Seconds(unknown=1)
    assert known.distillation(job_of(merged)) == Seconds(2)  # the other of its two
    assert known.by_trial([job_of(TRIAL)]) == {TRIAL.id: 7}


def test_seconds_add_up() -> None:
    assert Seconds(1.5, 2) + Seconds(2.0, 1) == Seconds(3.5, 3)


def test_a_set_merged_of_several_waits_for_all_of_them() -> None:
    merged = replace(TRIAL, merged_seeds=(100, 200))
    history = [took(TRIAL, distill=2, evaluate=5), took(merged, distill=99, evaluate=15)]
    known, job = Estimates(history), job_of(replace(merged, seed=9))
    assert known.distillation(job) == Seconds(6)  # the sum of three says nothing of one
    assert known.evaluation(job) == Seconds(15)


def test_a_generator_takes_its_own_distillation_and_the_students_of_what_it_serves() -> None:
    source = replace(TRIAL.distillation, budget=Budget("inpc", 1))
    served = replace(TRIAL, distillation=source, deployed=Budget("inpc", 50))
    known = Estimates([took(served, distill=2, evaluate=5)])
    assert known.distillation(job_of(replace(served, deployed=None))) == Seconds(2)
    assert known.evaluation(job_of(replace(served, seed=9))) == Seconds(5)
    assert known.evaluation(job_of(replace(served, deployed=None))) == Seconds(unknown=1)


def test_the_first_trial_of_a_job_waits_for_the_distillation_and_shared_students_take_nothing() -> (
    None
):
    native, longer = replace(TRIAL, track="native"), replace(TRIAL, recipe=Recipe(epochs=30))
    known = Estimates([took(TRIAL, 2, 5), took(longer, 2, 9)])
    seconds = known.by_trial([job_of(TRIAL, native, longer)])
    assert seconds == {TRIAL.id: 7, native.id: 0, longer.id: 9}
