"""The gate passes what is unchanged, and fails by deliberate injection."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from torch import Tensor
from typer.testing import CliRunner, Result

from bench import training
from bench.errors import BadFile, InvalidValue, MissingData
from leaderboard.regression import baseline as baselines
from leaderboard.regression import grid, judgement, kernel
from leaderboard.regression.baseline import Baseline
from leaderboard.regression.command import check
from leaderboard.regression.grid import Cell
from leaderboard.regression.judgement import judge, passes
from leaderboard.regression.measurement import Measured
from tests import fakes
from tests.leaderboard.shapes import misfits

BASELINE = Path("baseline.json")

MEASURED = Measured(
    cell="walk, tiny, ipc 1",
    trials=("a", "b", "c", "d"),
    accuracies=(0.50, 0.52, 0.54, 0.56),
    times=(2.0, 2.1, 1.9),
    peak_bytes={"prepare": 0, "distill": 1000, "evaluate": 5000},
)


def accepted(*cells: Measured) -> Baseline:
    return Baseline(commit="c", torch="2.11.0", device="CPU", cells=cells or (MEASURED,))


def failures(now: Measured, torch_version: str = "2.11.0") -> set[str]:
    verdicts = judge(accepted(), [now], torch_version)
    return {verdict.quantity for verdict in verdicts if not verdict.passed}


def shifted(by: Callable[[int], float]) -> Measured:
    values = enumerate(MEASURED.accuracies)
    return replace(MEASURED, accuracies=tuple(value + by(i) for i, value in values))


def test_the_same_passes() -> None:
    verdicts = judge(accepted(), [MEASURED], "2.11.0")
    assert passes(verdicts)
    assert {v.quantity for v in verdicts} == {
        "accuracy",
        "memory, prepare",
        "memory, distill",
        "memory, evaluate",
        "time",
    }


@pytest.mark.parametrize(
    ("by", "failed"),
    [
        (lambda i: 0.003 * (-1) ** i, False),  # another processor's arithmetic
        (lambda i: 0.004, False),
        (lambda i: -0.02, True),
        (lambda i: -0.02 + 0.004 * (-1) ** i, True),
        (lambda i: 0.02, True),  # better is no less a change
        (lambda i: 0.05 * (-1) ** i, True),  # nothing is shown by values this far apart
    ],
)
def test_accuracy_must_be_shown_to_be_the_same(by: Callable[[int], float], failed: bool) -> None:
    assert failures(shifted(by)) == ({"accuracy"} if failed else set())


def test_memory_is_compared_byte_for_byte_with_the_same_torch() -> None:
    grown = replace(MEASURED, peak_bytes=MEASURED.peak_bytes | {"evaluate": 5001})
    assert failures(grown) == {"memory, evaluate"}
    assert failures(grown, "2.12.0") == set()
    much = replace(MEASURED, peak_bytes=MEASURED.peak_bytes | {"evaluate": 5100})
    assert failures(much, "2.12.0") == {"memory, evaluate"}


@pytest.mark.parametrize(
    ("times", "failed"),
    [
        ((4.0, 4.2, 3.8), True),
        ((2.6, 2.7, 2.5), False),
        ((0.5, 0.6, 0.4), False),  # faster is welcome
        ((1.0, 4.0, 12.0), False),  # so noisy that nothing is shown
    ],
)
def test_time_fails_beyond_its_band(times: tuple[float, ...], failed: bool) -> None:
    assert failures(replace(MEASURED, times=times)) == ({"time"} if failed else set())


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ([], "nothing was measured"),
        ([replace(MEASURED, trials=(), mishaps=("failed: no",))], "nothing was measured (failed"),
        ([replace(MEASURED, mishaps=("diverged: NaN",))], "1 trials went wrong (diverged: NaN)"),
        ([replace(MEASURED, trials=("a", "b", "c", "z"))], "are not the baseline's"),
    ],
)
def test_what_cannot_be_compared_fails(now: list[Measured], reason: str) -> None:
    (verdict,) = judge(accepted(), now, "2.11.0")
    assert not verdict.passed
    assert reason in verdict.reason


def test_a_cell_that_the_baseline_lacks_fails() -> None:
    verdicts = judge(accepted(), [MEASURED, replace(MEASURED, cell="new")], "2.11.0")
    assert "not in the baseline" in verdicts[-1].reason


def test_no_verdicts_are_no_pass() -> None:
    assert not passes([])


def test_the_power_is_that_of_the_noisiest_cell() -> None:
    quiet, loud = replace(MEASURED, noise=0.0), replace(MEASURED, noise=0.02)
    assert judgement.power(accepted(quiet, loud)) == judgement.power(accepted(loud))
    assert judgement.power(accepted(quiet)) == 1
    assert judgement.power(accepted()) is None


def test_a_baseline_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    known = accepted(replace(MEASURED, noise=0.002))
    baselines.write(path, known)
    assert baselines.read(path) == known


@pytest.mark.parametrize("text", ["{}", '{"schema": 1}', "[]"])
def test_another_file_is_no_baseline(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(BadFile, match="is no baseline"):
        baselines.read(path)


def test_another_schema_is_named(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    baselines.write(path, replace(accepted(), schema=2))
    with pytest.raises(BadFile, match="of schema 2, not 1"):
        baselines.read(path)


def test_the_kernel_takes_time_and_no_random_number() -> None:
    before = torch.get_rng_state()
    assert kernel.seconds() > 0
    assert torch.equal(torch.get_rng_state(), before)


def call(*words: str) -> Result:
    app = typer.Typer()
    app.command()(check)
    return CliRunner().invoke(app, ["--baseline", str(BASELINE), *words])


@pytest.fixture
def gate(registered: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A grid of one tiny cell and its baseline, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    cell = Cell(method="walk", dataset="tiny", protocol="tiny-grid", seeds=3)
    monkeypatch.setattr(grid, "GRID", (cell,))
    # a machine that is busy is no regression; the band has a test of its own
    monkeypatch.setattr(judgement, "SLOWER", 1000.0)
    monkeypatch.setattr(kernel, "STEPS", 1)
    assert call("--calibrate").exit_code == 0
    return monkeypatch


def failed(result: Result) -> set[str]:
    assert result.exit_code == 1, result.output
    answer = json.loads(result.stdout)
    assert not answer["passed"]
    return {entry["quantity"] for entry in answer["verdicts"] if not entry["passed"]}


def test_the_gate_passes_on_what_it_was_calibrated_with(gate: pytest.MonkeyPatch) -> None:
    assert "All checks passed." in call().stdout
    printed = json.loads(call("--json").stdout)
    assert printed["passed"] is True
    assert misfits("check", printed) == []


def test_the_gate_fails_when_the_evaluation_is_spoiled_by_two_points(
    gate: pytest.MonkeyPatch,
) -> None:
    true = training.predictions

    def spoiled(network: Any, real: Any, *precision: Any) -> Tensor:
        predicted = true(network, real, *precision).clone()
        right = (predicted == real.labels).nonzero()[:, 0]
        wrong = right[: max(1, round(0.02 * len(predicted)))]
        predicted[wrong] = (predicted[wrong] + 1) % len(real.spec.classes)
        return predicted

    gate.setattr("bench.evaluation.students.predictions", spoiled)
    assert failed(call("--json")) == {"accuracy"}


def test_the_gate_fails_when_memory_grows_by_two_percent(gate: pytest.MonkeyPatch) -> None:
    (cell,) = baselines.read(BASELINE).cells
    more = max(1, cell.peak_bytes["distill"] * 2 // 100)
    step = fakes.Walk.step

    def greedy(self: fakes.Walk, state: fakes.WalkState) -> Mapping[str, Tensor]:
        held = torch.zeros(more, dtype=torch.uint8)
        metrics = step(self, state)
        assert len(held) == more
        return metrics

    gate.setattr(fakes.Walk, "step", greedy)
    assert failed(call("--json")) == {"memory, distill"}


def test_the_gate_fails_when_nothing_ran(gate: pytest.MonkeyPatch) -> None:
    gate.setattr(grid, "GRID", ())
    result = call("--json")
    assert result.exit_code == 1
    (verdict,) = json.loads(result.stdout)["verdicts"]
    assert verdict["reason"] == "nothing was measured"
    assert "1 of 1 checks failed." in call().stdout


def test_the_gate_fails_when_every_trial_fails(gate: pytest.MonkeyPatch) -> None:
    gate.setattr(fakes.Walk, "step", fakes.Raises.step)
    assert failed(call("--json")) == {"settings"}


def test_calibration_shows_the_change_and_renews(gate: pytest.MonkeyPatch) -> None:
    (cell,) = baselines.read(BASELINE).cells
    old = replace(cell, accuracies=tuple(value - 0.1 for value in cell.accuracies))
    baselines.write(BASELINE, replace(baselines.read(BASELINE), cells=(old,)))
    assert failed(call("--json")) == {"accuracy"}
    renewed = call("--calibrate")
    assert renewed.exit_code == 0
    assert "FAILED" in renewed.stdout
    assert "baseline.json renewed" in renewed.stdout
    assert call().exit_code == 0


def test_no_baseline_comes_of_failed_trials(gate: pytest.MonkeyPatch) -> None:
    before = BASELINE.read_bytes()
    gate.setattr(fakes.Walk, "step", fakes.Raises.step)
    assert isinstance(call("--calibrate").exception, InvalidValue)
    gate.setattr(grid, "GRID", ())
    assert isinstance(call("--calibrate").exception, InvalidValue)
    assert BASELINE.read_bytes() == before


def test_a_missing_baseline_is_missing_data(gate: pytest.MonkeyPatch) -> None:
    BASELINE.unlink()
    assert isinstance(call().exception, MissingData)


def test_the_committed_baseline_is_that_of_the_grid() -> None:
    known = baselines.read(Path(__file__).parents[2] / "leaderboard" / "baseline.json")
    assert [cell.cell for cell in known.cells] == [cell.name for cell in grid.GRID]
    power = judgement.power(known)
    assert power is not None
    assert power > 0.9


@pytest.mark.slow
def test_this_checkout_passes_its_own_gate() -> None:
    app = typer.Typer()
    app.command()(check)
    path = Path(__file__).parents[2] / "leaderboard" / "baseline.json"
    result = CliRunner().invoke(app, ["--baseline", str(path)])
    assert result.exit_code == 0, result.output
