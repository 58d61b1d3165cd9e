"""Waiting for the command line: help, lists, a resume with nothing to do, and the board."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import records
from bench.records import Record
from bench.runner import Options, Plan, plan
from bench.store import Store
from leaderboard.validation import trial_of

CACHED_TRIALS, BOARD_RECORDS = 1000, 10_000
SEEDS_APART = 100_000
REPOSITORY = Path(__file__).parent.parent
PUBLISHED = REPOSITORY / "leaderboard" / "results"
RESUMED = ("--protocol", "ipc-grid", "--dataset", "digits", "--seeds", "20")


def bench(*arguments: str) -> None:
    code = "from bench.cli import main; main()"
    subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, cwd=REPOSITORY
    )


@pytest.mark.parametrize("arguments", [("--help",), ("list", "methods")], ids=" ".join)
def test_startup(benchmark: Any, arguments: tuple[str, ...]) -> None:
    benchmark.pedantic(bench, args=arguments, rounds=5, warmup_rounds=1)


def test_resume_of_cached_trials(benchmark: Any, tmp_path: Path) -> None:
    store = tmp_path / "store"
    planned = plan(Options(protocol="ipc-grid", datasets=("digits",), seeds=20, store=store))
    _record_all(planned, Store(store))
    benchmark.extra_info["trials"] = len(planned.trials)
    assert len(planned.trials) >= CACHED_TRIALS
    benchmark.pedantic(
        bench, args=("run", *RESUMED, "--store", str(store)), rounds=3, warmup_rounds=1
    )


def _record_all(planned: Plan, store: Store) -> None:
    """Give every trial the outcome of a published one."""
    like = records.read_all(PUBLISHED)[0]
    for trial in planned.trials:
        store.append(like.shared_by(trial), None)


def test_board_of_many_records(benchmark: Any, tmp_path: Path) -> None:
    count = _multiply(tmp_path)
    assert count >= BOARD_RECORDS
    benchmark.extra_info["records"] = count
    build = ("leaderboard", "build", "--results", str(tmp_path), "--output")
    benchmark.pedantic(bench, args=(*build, str(tmp_path / "board.md")), rounds=3)


def _multiply(results: Path) -> int:
    """Write the published records many times, each time as if of other seeds; how many."""
    found = {path: list(records.read(path)) for path in records.files(PUBLISHED)}
    times = -(-BOARD_RECORDS // sum(map(len, found.values())))
    for path, published in found.items():
        copy = results / path.relative_to(PUBLISHED)
        copy.parent.mkdir(parents=True, exist_ok=True)
        lines = [_reseeded(one, SEEDS_APART * n).line() for one in published for n in range(times)]
        copy.write_text("".join(lines), encoding="utf-8")
    return times * sum(map(len, found.values()))


def _reseeded(record: Record, by: int) -> Record:
    trial = trial_of(record)
    assert trial is not None
    source = replace(trial.distillation, seed=trial.distillation.seed + by)
    return record.shared_by(replace(trial, seed=trial.seed + by, distillation=source))
