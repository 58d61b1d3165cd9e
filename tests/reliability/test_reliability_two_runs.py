"""Two runs on one store: one at a time, and whoever comes second does only what is left."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bench import records, runner
from bench.store import Store
from tests.reliability.conftest import Report
from tests.reliability.runs import Victims, check_whole, results, tensors
from tests.test_runner import options

IN_USE = "in use by another run"


def all_at_once(victims: Victims, folder: Path, processes: int, **options: object) -> int:
    """Start runs together until each has found everything done; how many were turned away."""
    told: list[str] = []
    refused = 0
    for _ in range(20):
        outcomes = victims.run_all(folder, at_once=processes, **options)  # type: ignore[arg-type]
        for outcome in outcomes:
            assert outcome.code in (0, 2), outcome.errors
            assert (outcome.code == 2) == (IN_USE in outcome.errors)
            assert "Traceback" not in outcome.errors
            told += outcome.told
        refused += sum(outcome.code == 2 for outcome in outcomes)
        if not any(outcome.told or outcome.code for outcome in outcomes):
            break
    else:
        raise AssertionError("the runs never came to an end")
    check_whole(folder)
    assert set(Counter(told).values()) == {1}  # no trial was done twice
    assert set(told) == results(folder).keys()  # and no record lost
    return refused


def test_runs_on_one_store_share_the_work_without_a_trial_twice(
    victims: Victims, tmp_path: Path
) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert victims.run(alone).code == 0
    assert all_at_once(victims, together, 2) > 0
    assert results(together) == results(alone)
    assert tensors(together) == tensors(alone)


@pytest.mark.slow
def test_many_runs_on_one_store_share_the_work_without_a_trial_twice(
    victims: Victims, tmp_path: Path, report: Report
) -> None:
    alone = tmp_path / "alone"
    assert victims.run(alone).code == 0
    refused = 0
    for number in range(10):
        together = tmp_path / str(number)
        refused += all_at_once(victims, together, 4)
        assert results(together) == results(alone)
        assert tensors(together) == tensors(alone)
    report(f"10 stores with 4 runs at once each: {refused} were turned away")


@pytest.mark.usefixtures("registered")
def test_a_run_planned_before_another_one_ended_repeats_nothing(store: Store) -> None:
    """The plan is made without the lock: what stands by the time the lock is held counts."""
    asked = options(store, "walk")
    early = runner.plan(asked)
    first = runner.execute(runner.plan(asked), lambda event: None)
    assert len(first) == 2
    assert runner.execute(early, lambda event: None) == []
    assert len(records.read_all(store.records)) == 2
