"""Synthetic sources of students: kept and recalled, merged, and generators that serve a budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from bench import artifacts, distillation, environment, records, worker
from bench.data import SyntheticSet
from bench.errors import Diverged
from bench.exam import Entry, Exam
from bench.planning import Job
from bench.records import Environment, Record
from bench.specs import Budget
from bench.store import Store
from bench.trials import Distillation
from tests.fakes import TINY_GRID
from tests.jobs import GENERATOR, job_of, phases, run, variants
from tests.records import ENVIRONMENT

pytestmark = pytest.mark.usefixtures("registered")

# a generator that serves another budget, and several sets together


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the protocol was given to score, one source a student."""
    sources: list[Any] = []
    rules = TINY_GRID["quick"]
    evaluate = type(rules).evaluate

    def watching(self: Any, entries: Sequence[Entry], exam: Exam) -> Any:
        sources.extend(entry.source for entry in entries)
        return evaluate(self, entries, exam)

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


# where it was made

Move = Callable[[str], None]


def machine(device: str) -> Environment:
    return ENVIRONMENT.model_copy(update={"device": device})


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch) -> Move:
    """Go on with the same store on another machine."""
    return lambda device: monkeypatch.setattr(
        environment, "describe", lambda *arguments: machine(device)
    )


def distilled_on(record: Record) -> list[str]:
    return [where.device for where in record.cost.distilled_on]


def outcomes(job: Job, store: Store) -> list[Record]:
    made, _ = run(job, store)
    assert [records.parse(record.line(), "line") for record in made] == made
    return made


def test_a_record_names_the_machine_that_distilled_beside_the_one_that_trained_the_student(
    store: Store, move: Move
) -> None:
    move("CPU one")
    first, _ = outcomes(job_of("walk"), store)
    move("CPU two")
    again, _ = outcomes(job_of("walk"), store)
    assert (distilled_on(first), first.environment.device) == (["CPU one"], "CPU one")
    assert (distilled_on(again), again.environment.device) == (["CPU one"], "CPU two")
    assert again.cost.distill == first.cost.distill


def test_where_a_store_of_before_distilled_is_not_known_and_not_guessed(store: Store) -> None:
    job = job_of("walk")
    outcomes(job, store)
    facts = store.recall(job.distillation.key)
    assert facts is not None
    del facts["environment"]
    store.remember(job.distillation.key, facts)
    again, _ = outcomes(job, store)
    assert again.cost.distill is not None
    assert again.cost.distilled_on == ()


def test_merged_sets_name_every_machine_once(store: Store, move: Move) -> None:
    move("CPU one")
    outcomes(variants("walk", {"merged_seeds": (7,)}), store)
    move("CPU two")
    *_, merged = outcomes(variants("walk", {"merged_seeds": (7, 8, 9)}), store)
    assert distilled_on(merged) == ["CPU one", "CPU two"]


def test_what_failed_to_distil_names_no_machine(store: Store) -> None:
    failed, _ = outcomes(job_of("raises"), store)
    assert failed.cost.distilled_on == ()
