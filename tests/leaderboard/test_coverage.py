"""Coverage: what stands of a protocol's own grid, and commands that do exactly the rest."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bench import records
from bench.errors import UnknownName
from bench.records import Record
from bench.runner import Options, plan
from bench.specs import Budget
from bench.trials import Trial
from leaderboard.coverage import Cell, coverage, tiers_of
from tests.leaderboard.shapes import misfits
from tests.records import record_of

METHODS = ("dm", "dim", "random", "whole", "model-pool-kd")


def record(trial: Trial, status: str = "ok") -> Record:
    return record_of(trial, 0.5 if status == "ok" else None, status=status)


def planned(protocol: str, methods: Iterable[str] = METHODS, **asked: Any) -> tuple[Trial, ...]:
    return plan(Options(protocol=protocol, methods=tuple(methods), **asked)).trials


def quick(protocol: str, found: Iterable[Record] = ()) -> dict[tuple[str, Budget], Cell]:
    cells = coverage(found, {protocol: ["quick"]})
    return {(cell.dataset, cell.budget): cell for cell in cells}


def asked_by(command: str) -> tuple[Trial, ...]:
    """The trials that a command plans."""
    bench, run, *words = shlex.split(command)
    assert (bench, run) == ("bench", "run")
    given = dict(zip(words[::2], words[1::2], strict=True))
    budgets = (Budget.parse(given["--budget"]),) if "--budget" in given else ()
    return planned(
        given["--protocol"],
        given["--method"].split(","),
        tier=given["--tier"],
        datasets=(given["--dataset"],),
        budgets=budgets,
    )


@pytest.mark.parametrize(
    "protocol", ["ablation", "aug-robust", "cross-arch", "ipc-grid", "merge", "redeploy"]
)
def test_the_commands_do_the_whole_grid(protocol: str) -> None:
    cells = quick(protocol).values()
    asked = {trial.id: trial for cell in cells for trial in asked_by(cell.command)}
    done = quick(protocol, map(record, asked.values())).values()
    assert len(asked) == sum(sum(cell.planned.values()) for cell in cells) > 0
    assert all(cell.recorded == cell.planned and not cell.command for cell in done)


def test_a_command_asks_for_its_cell_alone_where_a_budget_can() -> None:
    cell = quick("ipc-grid")["digits", Budget("ipc", 10)]
    assert {trial.budget for trial in asked_by(cell.command)} == {Budget("ipc", 10)}
    merged = quick("merge")["digits", Budget("ipc", 4)]
    assert "--budget" not in merged.command


def test_what_stands_is_counted_and_the_rest_is_missing() -> None:
    trials = planned("ipc-grid", ["dm", "random"], budgets=(Budget("ipc", 1),))
    dm = [trial for trial in trials if trial.method == "dm"]
    found = [record(trial) for trial in trials if trial not in dm[:1]]
    cell = quick("ipc-grid", found)["digits", Budget("ipc", 1)]
    assert (cell.recorded["dm"], cell.planned["dm"]) == (len(dm) - 1, len(dm))
    assert "dm" in cell.missing
    assert cell.complete == ("random",)


@pytest.mark.parametrize(("status", "stands"), [("diverged", 1), ("failed", 0), ("oom", 0)])
def test_what_the_next_run_tries_again_does_not_stand(status: str, stands: int) -> None:
    (first, *_) = planned("ipc-grid", ["dm"], budgets=(Budget("ipc", 1),))
    cell = quick("ipc-grid", [record(first, status)])["digits", Budget("ipc", 1)]
    assert cell.recorded["dm"] == stands


@pytest.mark.parametrize("asked", [{"split": "validation"}, {"changes": {"dm": {"iterations": 7}}}])
def test_records_of_something_else_do_not_count(asked: dict[str, Any]) -> None:
    found = [record(trial) for trial in planned("ipc-grid", ["dm"], **asked)]
    assert found
    assert not any(cell.recorded.get("dm") for cell in quick("ipc-grid", found).values())


def test_trials_that_rules_add_belong_to_their_own_method() -> None:
    full = quick("nas201")["digits", Budget("full", 0)]
    assert set(full.planned) == {"whole"}


def test_tiers_are_those_with_records_unless_one_is_asked_for() -> None:
    (first, *_) = planned("ipc-grid", ["dm"])
    begun = tiers_of([record(first)])
    assert begun["ipc-grid"] == ["quick"]
    assert not begun["merge"]
    assert tiers_of([], tier="lite")["merge"] == ["lite"]
    assert list(tiers_of([], "merge", "quick")) == ["merge"]
    with pytest.raises(UnknownName, match="merg"):
        tiers_of([], "merg")
    with pytest.raises(UnknownName, match="fast"):
        tiers_of([], tier="fast")


def test_the_command_line(bench: Any) -> None:
    for trial in planned("ipc-grid", ["dm"], budgets=(Budget("ipc", 1),)):
        records.append(Path("runs/records"), record(trial))
    asked = ["leaderboard", "coverage", "--protocol", "ipc-grid"]
    code, out, _ = bench(*asked, "--json")
    rows = json.loads(out)
    assert code == 0
    assert misfits("coverage", rows) == []
    (row,) = [row for row in rows if row["budget"] == {"kind": "ipc", "count": 1}]
    assert row["recorded"]["dm"] == row["planned"]["dm"]
    assert "dm," not in row["command"]
    lines = bench(*asked, "--commands")[1].splitlines()
    assert lines == [row["command"] for row in rows]
    shown = bench(*asked)[1]
    assert "1 of 15" in shown
    assert "every method" in shown
    code, _, err = bench(*asked, "--dataset", "digit")
    assert code == 2
    assert "Did you mean 'digits'?" in err
