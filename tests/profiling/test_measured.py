"""Measured figures, on the CPU and where there is one on a CUDA device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from bench import plugins
from bench.errors import InvalidValue
from bench.measure import LiveStorage
from bench.profiling import measured
from bench.profiling.forecast import forecast
from bench.profiling.measured import Setting, measure
from bench.profiling.phases import open_phase
from bench.profiling.records import PHASES
from tests.profiling.conftest import MakeSubject

HERE = Setting(device="cpu", emulate=None, threads=1)
CUDA = Setting(device="cuda", emulate=None, threads=1)


@pytest.mark.parametrize("phase", PHASES)
def test_the_memory_pass_sees_warm_up_and_a_cycle(subject: MakeSubject, phase: Any) -> None:
    at = subject("dm")
    figures = measured._figure(at, phase, "memory", HERE)
    steps = open_phase(phase, at, torch.device("cpu"), at.rules.excerpt)
    with LiveStorage() as live:
        for _ in range(at.rules.warm_up + steps.cycle):
            steps.run()
    assert figures["peak_bytes"] == live.peak_bytes
    assert figures["host_bytes"] > 50 * 2**20
    assert "seconds" not in figures


def test_the_time_pass_gives_one_figure_a_repeat(subject: MakeSubject) -> None:
    at = subject("dm")
    figures = measured._figure(at, "distill", "time", HERE)
    assert len(figures["seconds"]) == at.rules.repeats
    assert all(0 < seconds < 10 for seconds in figures["seconds"])
    assert "peak_bytes" not in figures


def test_a_method_that_does_not_apply_is_skipped_with_its_reason(subject: MakeSubject) -> None:
    figures = measured._figure(subject("mtt", budget=500), "distill", "memory", HERE)
    assert figures["status"] == "skipped"
    assert "500 real images per class" in figures["reason"]


def test_emulation_needs_a_cuda_device(subject: MakeSubject) -> None:
    setting = Setting(device="cpu", emulate="rtx4090", threads=1)
    with pytest.raises(InvalidValue, match="on a CUDA device only"):
        measured._figure(subject("dm"), "distill", "memory", setting)


@pytest.mark.slow
def test_every_figure_has_a_process_of_its_own(subject: MakeSubject) -> None:
    found = measure(subject("dm"), "distill", HERE)
    assert found.status == "ok"
    assert found.peak_bytes == measure(subject("dm"), "distill", HERE).peak_bytes
    with pytest.raises(InvalidValue, match="on a CUDA device only"):
        measure(subject("dm"), "distill", Setting(device="cpu", emulate="t4", threads=1))


SETTINGS: dict[str, Callable[[MakeSubject, str], Any]] = {
    "quick": lambda make, method: make(method, budget=5),
    "cifar10": lambda make, method: make(method, tier="lite", dataset="cifar10", budget=1),
    "cifar100": lambda make, method: make(method, tier="lite", dataset="cifar100", budget=10),
}


@pytest.mark.gpu
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("method", plugins.names("methods"))
def test_forecasts_are_what_the_allocator_says(
    subject: MakeSubject, method: str, setting: str
) -> None:
    at = SETTINGS[setting](subject, method)
    figures = measured._figure(at, "distill", "memory", CUDA)
    room = at.rules.allowances.workspace_bytes
    peak = forecast(at, "distill").peak_bytes
    assert peak * 0.95 <= figures["peak_bytes"] <= peak * 1.05 + room
    assert figures["reserved_bytes"] >= figures["peak_bytes"]


@pytest.mark.gpu
def test_a_capped_device_runs_out_where_the_small_one_would(subject: MakeSubject) -> None:
    setting = Setting(device="cuda", emulate="t4", threads=1)
    small = subject("mtt", tier="paper", batch_syn=100, matching_steps=10)
    assert measure(small, "distill", setting).status == "ok"
    assert measure(small.at("matching_steps", 70), "distill", setting).status == "oom"
