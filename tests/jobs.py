"""Jobs on the tiny dataset, done by one worker in this process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench import datasets
from bench.planning import Job, Request, jobs
from bench.records import Record
from bench.store import Store
from bench.trials import Split
from bench.worker import Event, Finished, Progress, Settings, run_job
from tests.fakes import TINY_GRID

GENERATOR = {
    "width": 4,
    "latent": 6,
    "gan_epochs": 1,
    "matching_epochs": 1,
    "batch_real": 20,
    "student_steps": 1,
    "pool": "",
}
"""Parameters with which ``dim`` takes no time."""


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


def variants(method: str, *changes: dict[str, Any], **parameters: Any) -> Job:
    """One trial of a method, and for each of ``changes`` another."""
    job = job_of(method, **parameters)
    trial = job.trials[0]
    return replace(job, trials=(trial, *(replace(trial, **change) for change in changes)))


def phases(events: list[Event]) -> list[str]:
    return [event.phase for event in events if isinstance(event, Progress)]
