"""SIGKILL at any moment: nothing recorded is lost or doubled, and the run goes on to the same end.

Three kinds of moment: before each operation on a file (all that a kill between two system calls can
leave on the disk), in the middle of a write (which the system then tears), and at any time.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.conftest import Report
from tests.reliability.runs import (
    Victims,
    check_whole,
    correctness,
    leftovers,
    results,
    tensors,
)
from tests.reliability.victim import Outcome

Knock = dict[str, Any]

SMALL = {"methods": "taught", "seeds": 1}

KINDS = {"artifacts", "cache", "checkpoints", "distillations", "experts", "records"}
"""Folders that the disturbed run must write to."""

KILLED = (-signal.SIGKILL, -signal.SIGXFSZ)


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """A run that nothing happened to."""

    folder: Path
    outcome: Outcome


def undisturbed(victims: Victims, folder: Path, **options: Any) -> Undisturbed:
    outcome = victims.run(folder, **options)
    assert outcome.code == 0, outcome.errors
    assert len(outcome.told) == len(results(folder))
    assert not leftovers(folder)
    return Undisturbed(folder=folder, outcome=outcome)


def knocked(
    victims: Victims, folder: Path, knocks: Iterable[Knock], model: Undisturbed, **options: Any
) -> int:
    """Disturb one run again and again, then let it end; how many knocks killed it."""
    kills, before = 0, dict[str, Any]()
    for knock in knocks:
        outcome = victims.run(folder, **knock, **options)
        assert outcome.code in (0, *KILLED), outcome.errors
        kills += outcome.code in KILLED
        check_whole(folder)
        recorded = results(folder)
        assert all(recorded[key] == facts for key, facts in before.items())
        assert set(outcome.told) <= recorded.keys()
        before = recorded
    last = victims.run(folder, **options)
    assert last.code == 0, last.errors
    assert not set(last.told) & before.keys()  # nothing was done twice
    assert results(folder) == results(model.folder)
    assert correctness(folder) == correctness(model.folder)
    assert tensors(folder) == tensors(model.folder)
    assert not leftovers(folder)
    return kills


def torn(model: Undisturbed, rng: random.Random) -> Iterator[Knock]:
    """Writes torn at random places of the files that a run makes."""
    sizes = [path.stat().st_size for path in model.folder.rglob("*") if path.is_file()]
    while True:
        yield {"limit_bytes": rng.randrange(1, rng.choice([size for size in sizes if size > 1]))}


def test_a_run_survives_kills(victims: Victims, tmp_path: Path) -> None:
    model = undisturbed(victims, tmp_path / "model", **SMALL)
    assert set(model.outcome.folders) >= KINDS
    rng, total = random.Random(0), model.outcome.operations
    kills = 0
    for folder in (tmp_path / "one", tmp_path / "other"):
        knocks = [
            {"knock": "kill", "at": rng.randrange(1, total)},
            {"knock": "kill", "at": rng.randrange(1, total // 4)},  # what is left is less
            next(torn(model, rng)),
        ]
        kills += knocked(victims, folder, knocks, model, **SMALL)
    assert kills >= 4


@pytest.mark.slow
def test_a_run_survives_a_kill_at_every_operation(
    victims: Victims, tmp_path: Path, report: Report
) -> None:
    model = undisturbed(victims, tmp_path / "model", **SMALL)
    moments = range(1, model.outcome.operations + 1)
    for at in moments:
        knock = {"knock": "kill", "at": at}
        assert knocked(victims, tmp_path / str(at), [knock], model, **SMALL) == 1
    report(f"killed before each of {len(moments)} operations on files")


@pytest.mark.slow
def test_a_run_survives_torn_writes(victims: Victims, tmp_path: Path, report: Report) -> None:
    model = undisturbed(victims, tmp_path / "model", **SMALL)
    knocks, kills = torn(model, random.Random(1)), 0
    while kills < 50:
        kills += knocked(victims, tmp_path / f"after-{kills}", [next(knocks)], model, **SMALL)
    report(f"killed in the middle of {kills} writes")


@pytest.mark.slow
def test_a_run_survives_a_hundred_kills_at_random_times(
    victims: Victims, tmp_path: Path, report: Report
) -> None:
    model = undisturbed(victims, tmp_path / "model")
    rng, kills, runs = random.Random(2), 0, 0
    while kills < 100:
        delays = [rng.uniform(0, model.outcome.seconds) for _ in range(3)]
        knocks = [{"delay_seconds": delay} for delay in delays]
        kills += knocked(victims, tmp_path / str(runs), knocks, model)
        runs += 1
    report(f"{kills} kills at random times of {runs} runs")


@pytest.mark.slow
def test_a_run_with_workers_survives_kills(
    victims: Victims, tmp_path: Path, report: Report
) -> None:
    """The next run begins while workers of the killed one may still be writing."""
    two = {"options": ("--jobs", "2")}
    model = undisturbed(victims, tmp_path / "model", **two)
    rng = random.Random(4)
    knocks = [{"delay_seconds": rng.uniform(0, model.outcome.seconds)} for _ in range(6)]
    kills = knocked(victims, tmp_path / "knocked", knocks, model, **two)
    report(f"{kills} kills of a run with two worker processes")
    assert kills
