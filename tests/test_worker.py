"""One job: what every kind of failure is recorded as, and what is never done twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import artifacts, datasets, distillation, records, worker
from bench.data import RealSet, SyntheticSet
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
from bench.exam import Exam
from bench.failures import MAX_REASON, classify
from bench.planning import Job, Request, jobs
from bench.records import Record
from bench.specs import Budget
from bench.store import Store
from bench.trials import Distillation, Split, Trial
from bench.worker import Event, Finished, Progress, Settings, run_job
from tests.fakes import TINY_GRID, tiny_pair

pytestmark = pytest.mark.usefixtures("registered")


def job_of(method: str, *, split: Split = "test", **changes: Any) -> Job:
    """Both tracks of one seed of a method on the tiny dataset."""
    rules = TINY_GRID["quick"]
    request = Request(
        methods=(method,),
        specs={"tiny": datasets.describe("tiny")},
        checksums={"tiny": "abc"},
        seeds=1,
        split=split,
        changes={method: changes},
    )
    (job,) = jobs(rules.plan(request))
    return job


def settings(store: Store, **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "store": store.root,
        "data_root": None,
        "references": {"tiny": "tiny"},
        "device": "cpu",
        "threads": 1,
    }
    return Settings(**given | changes)


def run(job: Job, store: Store, **changes: Any) -> tuple[list[Record], list[Event]]:
    """Run a job; its records, and everything it told."""
    events: list[Event] = []
    run_job(job, settings(store, **changes), events.append)
    return [event.record for event in events if isinstance(event, Finished)], events


def with_recipe(job: Job, **changes: Any) -> Job:
    def changed(trial: Trial) -> Trial:
        return replace(trial, recipe=replace(trial.recipe, **changes))

    return replace(job, trials=tuple(changed(trial) for trial in job.trials))


def phases(events: list[Event]) -> list[str]:
    return [event.phase for event in events if isinstance(event, Progress)]


def test_a_job_gives_one_complete_record_a_trial(store: Store) -> None:
    job = job_of("walk")
    made, events = run(job, store)
    assert [record.id for record in made] == [trial.id for trial in job.trials]
    assert [record.trial.track for record in made] == ["standard", "native"]
    for record in made:
        assert record.status == "ok"
        assert record.labels == "hard"
        assert 0 <= record.metrics["accuracy"] <= 1
        cost = record.cost
        assert cost.prepare is not None
        assert cost.distill is not None
        assert cost.evaluate is not None
        assert min(cost.distill.seconds, cost.evaluate.seconds) > 0
        assert cost.evaluate.peak_bytes > 0
        assert cost.stored_bytes == 3 * 64 * 4 + 3 * 8  # three images and labels
        assert record.environment.threads == 1
        assert record.recipe == TINY_GRID["quick"].recipe.as_dict()
        assert records.parse(record.line(), "line") == record
    correct = {event.correct for event in events if isinstance(event, Finished)}
    (bits,) = correct
    assert bits is not None
    accuracy = np.unpackbits(np.frombuffer(bits, np.uint8))[:45].mean()
    assert accuracy == made[0].metrics["accuracy"]


def test_what_was_made_is_kept_with_its_header(store: Store) -> None:
    job = job_of("walk")
    (record, _), _ = run(job, store)
    assert record.artifact is not None
    kept = artifacts.load(store.artifact(record.artifact))
    assert kept.header is not None
    assert kept.header.method == "walk"
    assert kept.header.created["key"] == job.distillation.key
    recalled = store.recall(job.distillation.key)
    assert recalled is not None
    assert [point["step"] for point in recalled["curve"]] == [1, 2, 3, 4]
    assert not list(store.checkpoint("x").parent.glob("*"))


def test_tracks_with_equal_recipes_train_one_student(store: Store) -> None:
    (first, second), events = run(job_of("walk"), store)
    assert first.cost.evaluate == second.cost.evaluate
    assert first.metrics == second.metrics
    assert set(phases(events)) == {"distill", "standard on convnet-d1-w8"}


def test_tracks_with_other_recipes_train_their_own(store: Store) -> None:
    job = job_of("walk")
    standard, native = job.trials
    native = replace(native, recipe=replace(native.recipe, epochs=2))
    _, events = run(replace(job, trials=(standard, native)), store)
    assert {"standard on convnet-d1-w8", "native on convnet-d1-w8"} < set(phases(events))


def test_a_distillation_is_not_done_twice(store: Store) -> None:
    job = job_of("walk")
    (first, _), _ = run(job, store)
    (again, _), events = run(job, store)
    assert "distill" not in phases(events)
    assert (again.artifact, again.metrics) == (first.artifact, first.metrics)
    assert again.cost.distill == first.cost.distill


def test_fresh_distils_again_and_from_the_start(store: Store) -> None:
    job = job_of("walk")
    run(job, store)
    store.checkpoint(job.distillation.key).parent.mkdir(exist_ok=True)
    store.checkpoint(job.distillation.key).write_bytes(b"left over")
    _, events = run(job, store, fresh=True)
    assert phases(events).count("distill") == 4
    assert not store.checkpoint(job.distillation.key).exists()


@pytest.mark.parametrize("what", ["artifact", "note", "missing artifact"])
def test_a_damaged_store_is_distilled_again(
    store: Store, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = job_of("walk")
    (first, _), _ = run(job, store)
    assert first.artifact is not None
    path = store.artifact(first.artifact)
    if what == "note":
        (path,) = (store.root / "distillations").iterdir()
    if what == "missing artifact":
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[-3] ^= 1
        path.write_bytes(content)
    (again, _), events = run(job, store)
    assert "distill" in phases(events)
    assert "It is distilled again" in caplog.text
    assert again.artifact == first.artifact
    assert artifacts.load(store.artifact(first.artifact)).header is not None


def test_a_set_under_another_ones_name_is_not_taken(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    job, other = job_of("walk"), job_of("walk", iterations=2)
    (mine, _), _ = run(job, store)
    (theirs, _), _ = run(other, store)
    assert mine.artifact is not None
    assert theirs.artifact is not None
    store.artifact(theirs.artifact).replace(store.artifact(mine.artifact))
    (again, _), _ = run(job, store)
    assert "holds another distillation than its name says" in caplog.text
    assert again.metrics == mine.metrics


def test_the_whole_training_set_is_not_stored_again(store: Store) -> None:
    (record, _), _ = run(job_of("whole"), store)
    assert record.status == "ok"
    assert record.artifact is None
    assert record.cost.stored_bytes == tiny_pair().train.stored_bytes
    assert not (store.root / "artifacts").exists()


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


def test_the_validation_split_hands_out_no_test_image(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[RealSet] = []
    rules = TINY_GRID["quick"]
    evaluate = type(rules).evaluate

    def watching(self: Any, trial: Trial, source: Any, exam: Exam) -> Any:
        seen.append(exam.test)
        return evaluate(self, trial, source, exam)

    monkeypatch.setattr(type(rules), "evaluate", watching)
    job = job_of("whole", split="validation")
    (record, _), events = run(job, store)
    assert record.status == "ok"
    assert record.trial.split == "validation"
    assert record.trial.evaluation_seed >= 1000
    pair = tiny_pair()
    train = [image.tobytes() for image in pair.train.pixels.numpy()]
    scored = [image.tobytes() for image in seen[0].pixels.numpy()]
    assert len(scored) == 6  # one in ten of each class
    assert set(scored) <= set(train)
    assert not set(scored) & {image.tobytes() for image in pair.test.pixels.numpy()}
    assert record.cost.stored_bytes == 54 * (64 + 8)  # the rest of the training images
    (correct,) = {event.correct for event in events if isinstance(event, Finished)}
    assert correct is not None
    assert len(correct) == 1


# students of several sets, and of a generator that serves another budget

GENERATOR = {
    "width": 4,
    "latent": 6,
    "gan_epochs": 1,
    "matching_epochs": 1,
    "batch_real": 20,
    "student_steps": 1,
    "pool": "",
}


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the protocol was given to score, one source a student."""
    sources: list[Any] = []
    rules = TINY_GRID["quick"]
    evaluate = type(rules).evaluate

    def watching(self: Any, trial: Trial, source: Any, exam: Exam) -> Any:
        sources.append(source)
        return evaluate(self, trial, source, exam)

    monkeypatch.setattr(type(rules), "evaluate", watching)
    return sources


@pytest.fixture
def distilled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds of the distillations that were begun; seed 13 brings bad luck."""
    seeds: list[int] = []

    def counting(plan: Distillation, *arguments: Any, **options: Any) -> Any:
        seeds.append(plan.seed)
        if plan.seed == 13:
            raise Diverged("loss became nan")
        return distillation.make(plan, *arguments, **options)

    monkeypatch.setattr(worker, "make", counting)
    return seeds


def variants(method: str, *changes: dict[str, Any], **parameters: Any) -> Job:
    """One trial of a method, and for each of ``changes`` another."""
    job = job_of(method, **parameters)
    trial = job.trials[0]
    return replace(job, trials=(trial, *(replace(trial, **change) for change in changes)))


def test_a_generator_serves_every_budget_from_one_distillation(
    store: Store, handed_over: list[Any], distilled: list[int]
) -> None:
    job = variants("dim", {"deployed": Budget("inpc", 5)}, **GENERATOR)
    (own, served), _ = run(job, store)
    assert distilled == [0]
    assert [len(source.epoch(torch.Generator())[0]) for source in handed_over] == [3, 15]
    assert (own.trial.budget, own.trial.distilled_for) == (Budget("inpc", 1), None)
    assert served.trial.budget == Budget("inpc", 5)
    assert served.trial.distilled_for == Budget("inpc", 1)
    assert served.artifact == own.artifact
    assert served.cost.distill == own.cost.distill
    assert served.cost.stored_bytes == own.cost.stored_bytes
    assert served.cost.evaluate != own.cost.evaluate
    assert records.parse(served.line(), "line") == served


def test_a_generator_from_the_store_serves_another_budget(store: Store) -> None:
    run(variants("dim", **GENERATOR), store)
    job = variants("dim", {"deployed": Budget("inpc", 5)}, **GENERATOR)
    (_, served), events = run(job, store)
    assert served.status == "ok"
    assert "distill" not in phases(events)


def test_images_serve_no_budget_but_their_own(store: Store) -> None:
    job = variants("walk", {"deployed": Budget("ipc", 5)})
    (own, served), _ = run(job, store)
    assert own.status == "ok"
    assert (served.status, served.metrics) == ("skipped", {})
    assert "only a generator serves ipc 5 without being distilled again" in served.reason


def test_merged_sets_reach_one_student_together(
    store: Store, handed_over: list[Any], distilled: list[int]
) -> None:
    job = variants("walk", {"merged_seeds": (7, 8)})
    (own, merged), _ = run(job, store)
    assert distilled == [0, 7, 8]
    parts = []
    for plan in job.trials[1].sources:
        facts = store.recall(plan.key)
        assert facts is not None
        parts.append((artifacts.load(store.artifact(facts["artifact"])), facts))
    together = handed_over[1]
    assert isinstance(together, SyntheticSet)
    images = [part.images for part, _ in parts if isinstance(part, SyntheticSet)]
    assert torch.equal(together.images, torch.cat(images))
    assert len(together.images.flatten(1).unique(dim=0)) == 9
    assert merged.trial.merged_seeds == (7, 8)
    assert merged.artifact is None
    assert merged.cost.distill is not None
    costs = [facts["distill"] for _, facts in parts]
    assert merged.cost.distill.seconds == pytest.approx(sum(cost["seconds"] for cost in costs))
    assert merged.cost.distill.peak_bytes == max(cost["peak_bytes"] for cost in costs)
    assert own.cost.stored_bytes is not None
    assert merged.cost.stored_bytes == 3 * own.cost.stored_bytes
    assert records.parse(merged.line(), "line") == merged


def test_sets_that_several_trials_merge_are_distilled_once(
    store: Store, distilled: list[int]
) -> None:
    job = variants("walk", {"merged_seeds": (7,)}, {"merged_seeds": (7, 8)})
    made, _ = run(job, store, fresh=True)
    assert [record.status for record in made] == ["ok"] * 3
    assert distilled == [0, 7, 8]


def test_generators_are_not_merged(store: Store) -> None:
    job = variants("dim", {"merged_seeds": (7,)}, **GENERATOR)
    (own, merged), _ = run(job, store)
    assert own.status == "ok"
    assert merged.status == "skipped"
    assert "only sets of images" in merged.reason


def test_a_set_that_fails_spares_the_trials_that_do_without(
    store: Store, distilled: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    unlucky = {"merged_seeds": (13,)}
    job = variants("walk", unlucky, unlucky | {"track": "native"}, {"merged_seeds": (8,)})
    made, _ = run(job, store)
    assert [record.status for record in made] == ["ok", "diverged", "diverged", "ok"]
    assert {record.reason for record in made[1:3]} == {"loss became nan"}
    assert distilled == [0, 13, 8]  # what failed is not tried again in the same job


def test_the_same_fault_of_ten_trials_is_told_once(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    job = variants("raises", *({"seed": seed} for seed in range(1, 10)))
    made, _ = run(job, store)
    assert {record.reason for record in made} == {"RuntimeError: a bug in the adapter"}
    assert len(made) == 10
    assert len(caplog.records) == 1
