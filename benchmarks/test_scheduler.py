"""The scheduler's own cost: planning, the graph, and trials that do nothing.

Trials that do nothing are recorded like any other, durably and with what the student got right.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench import records
from bench.executors import Agenda, Pool
from bench.executors.dispatch import nodes_of
from bench.executors.graph import Examine, Node
from bench.failures import Failed
from bench.records import Environment, Record
from bench.runner import Options, Plan, plan
from bench.specs import Budget
from bench.store import Store
from bench.worker import Emit, Finished, Settings
from tests import fakes

SEEDS = 20
COUNTS = (1_000, 10_000, 100_000)
TEST_IMAGES = 10_000
NOWHERE = Environment(
    commit="",
    package="0",
    python="3",
    torch="2",
    device="none",
    driver="",
    threads=1,
    precision="fp32",
    platform="none",
    calibration_seconds=1.0,
)


def do_nothing(
    node: Node, settings: Settings, emit: Emit, failures: Mapping[str, Failed]
) -> Failed | None:
    """A worker's part without work."""
    if isinstance(node, Examine):
        for trial in node.trials:
            record = Record.of(
                trial,
                status="ok",
                metrics={"accuracy": 0.5},
                environment=NOWHERE,
                time="2026-01-01T00:00:00Z",
            )
            emit(Finished(job=node.job, record=record, correct=bytes(TEST_IMAGES // 8)))
    return None


@pytest.fixture(autouse=True)
def plugged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A protocol without real data."""
    fakes.register(tmp_path / "site", fakes.ENTRY_POINTS)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    fakes.forget_plugins()
    yield
    monkeypatch.undo()
    fakes.forget_plugins()


def planned(count: int, store: Path) -> Plan:
    """A plan of so many trials, each with a distillation of its own."""
    budgets = tuple(Budget("ipc", number + 1) for number in range(count // SEEDS))
    asked = Options(
        protocol="tiny-grid",
        methods=("walk",),
        budgets=budgets,
        seeds=SEEDS,
        tracks=("standard",),
        store=store,
    )
    made = plan(asked)
    assert len(made.trials) == count
    return made


@pytest.mark.parametrize("count", COUNTS)
def test_plan(benchmark: Any, tmp_path: Path, count: int) -> None:
    planned(SEEDS, tmp_path)  # reads the data once

    def whole() -> None:
        assert len(nodes_of(planned(count, tmp_path))) == 2 * count

    benchmark.pedantic(whole, rounds=3 if count < 100_000 else 1)


@pytest.mark.parametrize("count", COUNTS)
def test_agenda(benchmark: Any, tmp_path: Path, count: int) -> None:
    nodes = nodes_of(planned(count, tmp_path))

    def whole() -> None:
        agenda = Agenda(nodes, {})
        while agenda:
            agenda.end(agenda.take())

    benchmark.pedantic(whole, rounds=3 if count < 100_000 else 1)


@pytest.mark.parametrize("count", [1_000, 10_000])
def test_trials_that_do_nothing(benchmark: Any, tmp_path: Path, count: int) -> None:
    nodes = nodes_of(planned(count, tmp_path))
    store = Store(tmp_path / "store")
    settings = Settings(store=store.root, data_root=None, references={}, device="cpu", threads=1)

    def record(events: Any) -> None:
        store.extend((event.record, event.correct) for event in events)

    def whole() -> None:
        agenda = Agenda(nodes, {})
        Pool(workers=2).run(agenda, settings, do_nothing, record, lambda node, failure: None)

    benchmark.pedantic(whole, rounds=1)
    assert len(records.read_all(store.records)) == count
    benchmark.extra_info["trials_per_second"] = count / benchmark.stats["mean"]


@pytest.mark.parametrize("count", COUNTS)
def test_resume(benchmark: Any, tmp_path: Path, count: int) -> None:
    made = planned(count, tmp_path)
    store = Store(tmp_path)
    store.extend((_of(trial), None) for trial in made.trials)
    again = benchmark.pedantic(lambda: planned(count, tmp_path), rounds=1)
    assert again.jobs == ()


def _of(trial: Any) -> Record:
    time = "2026-01-01T00:00:00Z"
    return Record.of(trial, status="ok", metrics={"accuracy": 0.5}, environment=NOWHERE, time=time)
