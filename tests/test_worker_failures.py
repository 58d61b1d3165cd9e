"""What goes wrong in a method or a student is recorded; what the user puts right stops a job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import (
    BadFile,
    BenchError,
    ContractError,
    Diverged,
    InvalidValue,
    MissingData,
    NotApplicable,
    StoreError,
    UnknownName,
)
from bench.failures import MAX_REASON, classify
from bench.planning import Job
from bench.store import Store
from bench.trials import Trial
from tests.jobs import job_of, run, variants

pytestmark = pytest.mark.usefixtures("registered")


def with_recipe(job: Job, **changes: Any) -> Job:
    def changed(trial: Trial) -> Trial:
        return replace(trial, recipe=replace(trial.recipe, **changes))

    return replace(job, trials=tuple(changed(trial) for trial in job.trials))


@pytest.mark.parametrize(
    ("method", "status", "reason"),
    [
        ("gives-nan", "diverged", "the synthetic images hold NaN or infinity"),
        ("diverges", "diverged", "loss became inf at step 1"),
        ("raises", "failed", "RuntimeError: a bug in the adapter"),
        ("runs-out-of-memory", "oom", "allocate memory"),
        ("declines", "skipped", "needs larger images"),
        ("overspends", "failed", "ContractError: The method handed over 4 images"),
        ("hands-over-everything", "failed", "ContractError: The method handed over 60 images"),
    ],
)
def test_a_method_that_goes_wrong_is_recorded_for_every_trial(
    store: Store, method: str, status: str, reason: str
) -> None:
    made, _ = run(job_of(method), store)
    assert len(made) == 2
    for record in made:
        assert record.status == status
        assert reason in record.reason
        assert "\n" not in record.reason
        assert record.metrics == {}
        assert record.cost.distill is None
        assert record.artifact is None


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"lr": 1e20}, "diverged", "the loss of the student"),
        ({"loss": "l1-logits"}, "skipped", "needs soft labels"),
        ({"augmentation": "unheard-of"}, None, ""),
    ],
)
def test_a_student_that_goes_wrong_keeps_what_the_method_cost(
    store: Store, changes: dict[str, Any], status: str | None, reason: str
) -> None:
    job = with_recipe(job_of("walk"), **changes)
    if status is None:  # the user named something that does not exist
        with pytest.raises(UnknownName):
            run(job, store)
        return
    (record, _), _ = run(job, store)
    assert record.status == status
    assert reason in record.reason
    assert record.cost.distill is not None
    assert record.cost.evaluate is None
    assert record.artifact is not None


def test_a_student_that_fails_does_not_stop_the_next(store: Store) -> None:
    job = job_of("walk")
    standard, native = job.trials
    wild = replace(standard, recipe=replace(standard.recipe, lr=1e20))
    made, _ = run(replace(job, trials=(wild, native)), store)
    assert [record.status for record in made] == ["diverged", "ok"]


def test_what_the_user_must_put_right_stops_the_job(store: Store) -> None:
    with pytest.raises(MissingData, match="text encoder"):
        run(job_of("needs-data"), store)


def moved(job: Job, dataset: str) -> Job:
    """The same job on another dataset."""
    there = replace(job.distillation, dataset=dataset)
    return Job(distillation=there, trials=tuple(replace(t, distillation=there) for t in job.trials))


def test_missing_real_data_stop_the_job(store: Store, tmp_path: Path) -> None:
    job = job_of("walk")
    job = moved(job, "mnist")
    with pytest.raises(MissingData, match="bench data fetch mnist"):
        run(job, store, references={"mnist": "mnist"}, data_root=tmp_path)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotApplicable("too small"), ("skipped", "too small")),
        (Diverged("loss became nan"), ("diverged", "loss became nan")),
        (MemoryError(), ("oom", "MemoryError")),
        (torch.OutOfMemoryError("CUDA out of memory.\nTried"), ("oom", "CUDA out of memory.")),
        (RuntimeError("can't allocate memory"), ("oom", "can't allocate memory")),
        (RuntimeError("CUDNN_STATUS_ALLOC_FAILED"), ("oom", "CUDNN_STATUS_ALLOC_FAILED")),
        (ContractError("no"), ("failed", "ContractError: no")),
        (ValueError("one\ntwo"), ("failed", "ValueError: one")),
        (KeyError(), ("failed", "KeyError: KeyError")),
        (AssertionError("\ud800"), ("failed", "AssertionError: ?")),
    ],
)  # fmt: skip
def test_errors_are_classified(error: Exception, expected: tuple[str, str]) -> None:
    assert classify(error) == expected


@pytest.mark.parametrize("kind", [BenchError, InvalidValue, MissingData, BadFile, StoreError])
def test_errors_that_the_user_puts_right_are_passed_on(kind: type[BenchError]) -> None:
    error = kind("cannot allocate memory for the file")
    with pytest.raises(kind) as caught:
        classify(error)
    assert caught.value is error


def test_a_reason_is_never_too_long_for_a_record() -> None:
    _, reason = classify(ValueError("x" * 10_000_000))
    assert len(reason) < MAX_REASON + 50


def test_the_same_fault_of_ten_trials_is_told_once(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    job = variants("raises", *({"seed": seed} for seed in range(1, 10)))
    made, _ = run(job, store)
    assert {record.reason for record in made} == {"RuntimeError: a bug in the adapter"}
    assert len(made) == 10
    assert len(caplog.records) == 1


@pytest.mark.parametrize("method", ["raises", "walk"])
def test_a_record_says_how_students_were_to_be_trained(store: Store, method: str) -> None:
    (record, _), _ = run(job_of(method), store, strategy="vectorised")
    assert record.environment.strategy == "vectorised"


def test_a_trial_that_failed_before_there_was_a_choice_says_so(store: Store) -> None:
    (record, _), _ = run(job_of("raises"), store)
    assert record.environment.strategy == "auto"
