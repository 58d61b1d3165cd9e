"""A method that goes wrong, in any phase and in any way: recorded with its reason, and on it goes.

Methods that hang are the business of ``--timeout``, with tests of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bench import records, runner
from bench.store import Store
from tests.reliability.conftest import Report
from tests.reliability.methods import ENTRY_POINTS, FAULTS, PHASES
from tests.reliability.runs import Victims, store_in
from tests.test_runner import options

EXPECTED = {
    "nan": ("diverged", "nan"),
    "infinity": ("diverged", "n"),  # an infinite image gives a NaN loss one step later
    "bug": ("failed", "ZeroDivisionError: a bug"),
    "memory": ("oom", "MemoryError"),
    "torch-memory": ("oom", "memory"),
    "recursion": ("failed", "RecursionError"),
    "key": ("failed", "KeyError"),
    "exit": ("failed", "SystemExit: 0"),
}


def test_whatever_goes_wrong_is_recorded_and_the_command_fails(
    victims: Victims, tmp_path: Path
) -> None:
    methods = "diverges,gives-nan,raises,runs-out-of-memory,overspends,declines,walk"
    outcome = victims.run(tmp_path, methods=methods, seeds=1)
    assert outcome.code == 1, outcome.errors
    ended = {
        record.method.name: (record.status, bool(record.reason), bool(record.metrics))
        for record in records.read_all(store_in(tmp_path).records)
    }
    assert ended == {
        "declines": ("skipped", True, False),
        "diverges": ("diverged", True, False),
        "gives-nan": ("diverged", True, False),
        "overspends": ("failed", True, False),
        "raises": ("failed", True, False),
        "runs-out-of-memory": ("oom", True, False),
        "walk": ("ok", False, True),
    }
    again = victims.run(tmp_path, methods=methods, seeds=1)
    assert again.code == 1
    assert len(again.told) == 6  # what may end otherwise: two trials of three methods


@pytest.mark.slow
def test_any_fault_in_any_phase_is_recorded(
    store: Store, install: Callable[[Mapping[str, Mapping[str, str]]], Path], report: Report
) -> None:
    install(ENTRY_POINTS)
    for phase in PHASES:
        for fault in FAULTS:
            changes = {"faulty": {"phase": phase, "fault": fault}}
            asked = options(store, "faulty", "walk", changes=changes, fresh=True)
            made = runner.execute(runner.plan(asked), lambda event: None)
            status, words = EXPECTED[fault]
            for record in made:
                if record.method.name == "walk":
                    assert record.status == "ok"
                    continue
                assert record.status == status, (phase, fault, record)
                assert words.lower() in record.reason.lower(), (phase, fault, record)
                assert "\n" not in record.reason
    report(f"{len(PHASES)} phases, {len(FAULTS)} faults each: all recorded")
