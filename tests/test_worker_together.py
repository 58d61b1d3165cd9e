"""Students of one piece of work: each ends as it would alone, and alone in what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bench import datasets
from bench.evaluation import engine
from bench.executors.graph import Distil, Examine, build, side_by_side, source_key
from bench.failures import Failed
from bench.planning import Request, jobs
from bench.records import Record
from bench.store import Store
from bench.trials import Trial
from bench.worker import Finished, perform
from tests.fakes import TINY_GRID
from tests.jobs import settings

pytestmark = pytest.mark.usefixtures("registered")

LOST = Failed("failed", "TimeoutError: not done after 5 s (--timeout)")


def trials() -> list[Trial]:
    """Three seeds in the standard track."""
    request = Request(
        methods=("random",),
        specs={"tiny": datasets.describe("tiny")},
        checksums={"tiny": "abc"},
        seeds=3,
        tracks=("standard",),
    )
    return list(TINY_GRID["quick"].plan(request))


def done(
    store: Store,
    planned: list[Trial],
    *,
    together: bool = True,
    failures: Mapping[str, Failed] | None = None,
) -> dict[str, tuple[Record, bytes | None]]:
    """What became of each trial."""
    nodes = build(jobs(planned), lambda plan: (), lambda trial: ())
    events: list[Any] = []
    for node in side_by_side(nodes) if together else nodes:
        if isinstance(node, Distil) and source_key(node.plan) in (failures or {}):
            continue
        known = failures if failures and isinstance(node, Examine) else {}
        perform(node, settings(store), events.append, known)
    ended = [event for event in events if isinstance(event, Finished)]
    assert len(ended) == len(planned)
    return {event.record.id: (event.record, event.correct) for event in ended}


@pytest.fixture
def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "choose", lambda assignment, students: "vectorised")


@pytest.mark.usefixtures("as_on_cuda")
def test_students_reach_together_what_each_reaches_alone(store: Store) -> None:
    together = done(store, trials())
    for key, (record, correct) in done(store, trials(), together=False).items():
        joint, other = together[key]
        assert joint.environment.strategy == "vectorised"
        assert other == correct
        assert joint.metrics["accuracy"] == record.metrics["accuracy"]
        assert joint.metrics["loss"] == pytest.approx(record.metrics["loss"], rel=1e-4)


def test_a_student_that_diverges_does_so_alone(store: Store) -> None:
    first, second, third = trials()
    wild = replace(second, recipe=replace(second.recipe, lr=1e20))
    ended = done(store, [first, wild, third])
    assert {key: record.status for key, (record, _) in ended.items()} == {
        first.id: "ok",
        wild.id: "diverged",
        third.id: "ok",
    }


def test_a_source_that_was_lost_costs_its_own_student_alone(store: Store) -> None:
    first, second, third = trials()
    ended = done(store, [first, second, third], failures={source_key(second.distillation): LOST})
    reasons = {key: record.reason for key, (record, _) in ended.items()}
    assert reasons == {first.id: "", second.id: LOST.reason, third.id: ""}


def test_what_was_no_sources_fault_is_everybodys(store: Store) -> None:
    planned = trials()
    ended = done(store, planned, failures={"expert of them all": LOST})
    assert [record.reason for record, _ in ended.values()] == [LOST.reason] * 3
